"""The page in a real browser, headless and without a graphics card: what is asserted are the numbers of `window.mateStudio`."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mate.formats.load import load_motion
from mate.motion.skeleton import HUMANML3D

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CLIENT = Path(__file__).resolve().parents[2] / "src" / "mate" / "studio" / "client" / "index.html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MODEL = Path(__file__).resolve().parents[2] / "src" / "mate" / "models" / "default" / "model.safetensors"
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian: apt-get install chromium)"),
    pytest.mark.skipif(not CLIENT.is_file(), reason="the page is not built (`make client`)"),
    pytest.mark.skipif(not MODEL.is_file(), reason="no shipped model in this checkout"),
]
FLAGS = ["--no-sandbox", "--enable-unsafe-swiftshader"]  # WebGL by SwiftShader
PROMPT = "a person walks forward, then waves with the left hand"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """`mate studio` as a person starts it."""
    command = [sys.executable, "-u", "-m", "mate.cli.app", "studio", "--port", "0", "--no-browser", "--threads", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found is not None
        yield found.group()
        process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A tab with the studio in it. Afterwards: nothing was asked of another machine, nothing broke the policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, accept_downloads=True)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.goto(address)
    until(page, "window.mateStudio?.ready")
    yield page
    elsewhere = [url for url in asked if not url.startswith((address, "blob:", "data:"))]
    assert elsewhere == [] and not [line for line in said if "Content Security" in line or line.startswith("error")]
    context.close()


def until(page: Any, expression: str, seconds: float = 120.0) -> None:
    """Waits until an expression of the page holds. (The page's policy forbids Playwright's own way, which uses eval.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({expression})"):
        if time.monotonic() > end:
            error, phase = page.evaluate("[window.mateStudio?.error, window.mateStudio?.phase]")
            raise AssertionError(f"never: {expression} (error {error!r}, {phase!r})")
        time.sleep(0.05)


def see(page: Any, name: str) -> Any:
    return page.evaluate(f"mateStudio.{name}")


def make(page: Any, prompt: str = PROMPT, seconds: str = "4", seed: str = "3", variant: str = "with") -> dict[str, Any]:
    """Asks for a motion and returns its result, as the server gives it."""
    old = see(page, "id")
    page.fill("#prompt", prompt)
    page.fill("#seconds", seconds)
    page.fill("#seed", seed)
    page.click(f"#variant span:text-is('{variant}')")
    page.click("#generate")
    until(page, f"mateStudio.id !== {old!r}")
    return httpx.get(f"{page.url}api/jobs/{see(page, 'id')}").json()["result"]


def holding(weights: list[float]) -> list[int]:
    """The fewest places that together hold half of the weight."""
    order = np.argsort(-np.array(weights), kind="stable")
    count = int(np.searchsorted(np.cumsum(np.array(weights)[order]), 0.5 * sum(weights) * (1 - 1e-6))) + 1
    return sorted(int(place) for place in order[:count])


def scrub(page: Any, share: float) -> None:
    """Clicks on the timeline, `share` of the way from its start to its end."""
    box = page.locator("#track").bounding_box()
    page.mouse.click(box["x"] + 92 + (box["width"] - 92) * share, box["y"] + 30)


def test_from_a_prompt_to_the_joints_of_a_word(page: Any) -> None:
    """Type, generate, scrub, point at a word: frames and joints light up, and they are the model's."""
    [take] = make(page)["takes"]
    assert see(page, "views") == ["patched"] and see(page, "frames") == 80 and see(page, "seconds") == 4
    until(page, "mateStudio.playing && mateStudio.frame > 2")
    scrub(page, 0.5)
    assert not see(page, "playing") and see(page, "frame") == pytest.approx(40, abs=1)
    words = {word["text"]: word for word in take["grounding"]["words"]}
    for text in ("waves", "walks"):
        page.hover(f"#chips button:text-is('{text}')")
        assert see(page, "word") == text
        assert see(page, "litFrames") == holding(words[text]["attention"])
        names = [HUMANML3D.joint_names[joint] for joint in holding(words[text]["joints"])]
        assert see(page, "litJoints") == names
        assert page.locator("#joints li").first.inner_text().split("\n")[0].replace(" ", "_") in names
    page.hover("#prompt")
    assert see(page, "word") is None and see(page, "litFrames") == []


@pytest.mark.slow
def test_a_and_b_share_one_clock(page: Any) -> None:
    result = make(page, variant="A / B")
    assert see(page, "views") == ["patched", "plain"] and [take["frames"] for take in result["takes"]] == [80, 80]
    scrub(page, 0.75)
    until(page, "mateStudio.roots[0][2] !== 0")
    # Both bodies are where their own motion is at that time.
    for number, root in enumerate(see(page, "roots")):
        points = httpx.get(f"{page.url}api/jobs/{see(page, 'id')}/takes/{number}/points").content
        pelvis = np.frombuffer(points, "<f4").reshape(80, -1, 3)[:, 0]
        place = min(see(page, "time") * 20, 79)
        low, share = int(place), place - int(place)
        expected = pelvis[low] + share * (pelvis[min(low + 1, 79)] - pelvis[low])
        np.testing.assert_allclose(root, expected, atol=1e-4)
    page.click("#labels button:nth-child(2)")
    page.click("#chips button:text-is('left')")
    page.hover("#prompt")  # clicked, so it stays lit
    [word] = [word for word in result["takes"][1]["grounding"]["words"] if word["text"] == "left"]
    assert see(page, "active") == 1 and see(page, "litFrames") == holding(word["attention"])
    until(page, "mateStudio.neighbour === 'left'")
    assert page.locator("#downloads h2").inner_text() == "Download without the patch"


@pytest.mark.slow
def test_the_hint_can_be_left_out_and_the_heat_map_answers(page: Any) -> None:
    [take] = make(page)["takes"]
    words = take["grounding"]["words"]
    rows = [number for number, word in enumerate(words) if word["motion_word"]]
    box = page.locator("#heat").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 20 * 1.5)  # the second row
    word = words[rows[1]]
    assert see(page, "word") == word["text"] and see(page, "litFrames") == holding(word["attention"])
    page.mouse.click(box["x"] + 300, box["y"] + 20 * 1.5)
    page.click("#hint")
    assert see(page, "hint") is False and see(page, "litFrames") == holding(word["alone"])
    page.click("#every")
    assert page.locator("#heat").bounding_box()["height"] == 20 * len(words)


@pytest.mark.slow
def test_a_prompt_can_be_read_as_one(page: Any) -> None:
    assert " | " in make(page, seconds="2")["takes"][0]["facts"]["sub_texts"]
    page.check("#whole")
    assert "sub_texts" not in make(page, seconds="2")["takes"][0]["facts"]


@pytest.mark.slow
def test_speed_loop_and_keys(page: Any) -> None:
    make(page, seconds="2")
    page.select_option("#speed", "2")
    page.uncheck("#loop")
    until(page, "!mateStudio.playing && mateStudio.time === mateStudio.seconds")  # it stops at the end
    page.focus("#track")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert see(page, "frame") == 1 and see(page, "speed") == 2
    page.check("#loop")
    page.click("#play")
    until(page, "mateStudio.frame > 20")
    until(page, "mateStudio.frame < 10")  # it starts again
    page.click("#play")
    assert not see(page, "playing")


@pytest.mark.slow
@pytest.mark.parametrize("format", ["GLB", "BVH", "npz"])
def test_downloads(page: Any, tmp_path: Path, format: str) -> None:
    make(page)
    with page.expect_download() as waiting:
        page.click(f"#downloads a:text-is('{format}')")
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    assert path.name == f"a-person-walks-forward-then-waves-with-the-left-hand.{format.lower()}"
    if format != "GLB":
        assert load_motion(path).frames == 80
        return
    pygltflib = pytest.importorskip("pygltflib")
    document = pygltflib.GLTF2.load_binary(str(path))
    times = document.accessors[document.animations[0].samplers[0].input]
    assert times.count == 80 and times.max == pytest.approx([79 / 20]) and document.skins
    issues = khronos(path)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def khronos(path: Path) -> dict[str, Any]:
    """What Khronos's own validator says of a GLB file; it comes with the page's build tools."""
    node, client = shutil.which("node"), CLIENT.parents[4] / "client"
    if node is None or not (client / "node_modules" / "gltf-validator").is_dir():
        pytest.skip("no node, or `make client` has not installed the Khronos validator")
    script = (
        'require("gltf-validator").validateBytes(new Uint8Array(require("fs").readFileSync(process.argv[1])))'
        ".then(report => console.log(JSON.stringify(report.issues)))"
    )
    done = subprocess.run([node, "-e", script, str(path)], cwd=client, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_broken_file_says_what_is_wrong_and_a_sound_one_is_shown(page: Any, bvh: bytes) -> None:
    page.fill("#caption", "a person glides to the side")
    page.set_input_files("#file", {"name": "broken.bvh", "mimeType": "", "buffer": bvh[:300]})
    until(page, "mateStudio.error")
    error = page.locator("#error").inner_text()
    assert error.startswith("broken.bvh, line ") and "/" not in error
    page.set_input_files("#file", {"name": "glide.bvh", "mimeType": "", "buffer": bvh})
    until(page, "mateStudio.views[0] === 'file'")
    assert see(page, "frames") == 40 and see(page, "error") == ""
    page.hover("#chips button:text-is('side')")
    assert see(page, "litFrames")
    page.fill("#caption", "somebody floats")  # the same motion under other words
    page.click("#find")
    page.wait_for_selector("#chips button:text-is('floats')")


@pytest.mark.slow
def test_dropping_a_file(page: Any, bvh: bytes) -> None:
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.items.add(new File([text], "dropped.bvh"));
            for (const type of ["dragenter", "dragover", "drop"]) {
                window.dispatchEvent(new DragEvent(type, {dataTransfer: data, cancelable: true, bubbles: true}));
            }
        }""",
        bvh.decode(),
    )
    assert page.locator("#drop").is_hidden() and page.evaluate("document.activeElement.id") == "caption"
    page.keyboard.type("a person glides")
    page.keyboard.press("Enter")
    until(page, "mateStudio.views[0] === 'file'")
    assert page.locator("#choose").inner_text() == "dropped.bvh"


@pytest.mark.slow
def test_neighbours_can_be_pointed_at(page: Any) -> None:
    page.fill("#neighbour", "left")
    page.keyboard.press("Enter")
    until(page, "mateStudio.neighbour === 'left'")
    assert page.locator("#near tr:nth-child(2) td:first-child").inner_text() == "right"
    page.locator("#plot g.point:has(text:text-is('right')) .target").hover(force=True)
    told = page.locator("#plot-facts").inner_text()
    assert re.fullmatch(r"right: 0\.\d\d before, 0\.\d\d after", told)


@pytest.mark.slow
def test_markup_in_a_prompt_stays_text(page: Any) -> None:
    make(page, prompt="a person walks <img src=x onerror=alert(1)> <b>left</b>", seconds="1")
    assert page.locator("#chips img").count() == 0 and page.locator("#chips b").count() == 0


@pytest.mark.slow
def test_two_tabs_and_a_cancelled_motion(page: Any, browser: Any, address: str) -> None:
    other = browser.new_page()
    other.goto(address)
    until(other, "window.mateStudio?.ready")
    for tab, seed in ((page, "1"), (other, "2")):
        tab.fill("#prompt", PROMPT)
        tab.fill("#seconds", "10")
        tab.fill("#seed", seed)
        tab.click("#variant span:text-is('A / B')")
        tab.click("#generate")
    other.click("#cancel")
    until(other, "mateStudio.job === 'cancelled'")
    assert see(other, "views") == [] and other.locator("#progress").is_hidden()
    until(page, "mateStudio.views.length === 2")
    assert see(page, "frames") == 200
    other.close()


@pytest.mark.slow
def test_start_to_first_motion_and_pictures_a_second(browser: Any) -> None:
    """Within 30 s from the command to a moving body; 20 pictures a second without a graphics card."""
    if os.getloadavg()[0] > 1.5:
        pytest.skip("other programs use this machine: times would say nothing")
    start = time.monotonic()
    command = [sys.executable, "-u", "-m", "mate.cli.app", "studio", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[4]
            listening = time.monotonic() - start
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.goto(url)
            until(page, "document.querySelector('#model').value")
            page.click("#generate")
            until(page, "mateStudio.views.length && mateStudio.frame > 0")
            first = time.monotonic() - start
            time.sleep(4)
            rate = see(page, "fps")
            page.click("#variant span:text-is('A / B')")
            page.click("#generate")
            until(page, "mateStudio.views.length === 2")
            time.sleep(4)
            both = see(page, "fps")
            page.close()
        finally:
            process.terminate()
    print(
        f"listening after {listening:.1f} s, first motion after {first:.1f} s, {rate:.0f} pictures a second, A/B {both:.0f}"
    )
    assert listening < 5 and first < 30 and rate >= 20
