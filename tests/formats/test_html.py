"""The offline page: what is in it, and what a browser does with it."""

import base64
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.rigs import grounding

from mate.errors import MateError
from mate.formats.html import write_html
from mate.motion.motion import Motion


def data_of(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"))
    assert found is not None
    return json.loads(found.group(1))


def test_the_page_holds_the_motion(motion: Motion, tmp_path: Path) -> None:
    write_html(motion, tmp_path / "a.html")
    data = data_of(tmp_path / "a.html")
    points = np.frombuffer(base64.b64decode(data["points"]), "<f4").reshape(data["frames"], data["count"], 3)
    np.testing.assert_allclose(points[:, :22], motion.joints, atol=1e-6)
    assert (data["fps"], data["words"], data["segments"]) == (20.0, [], [])
    assert (tmp_path / "a.html").stat().st_size < 200_000


def test_nothing_is_fetched(motion: Motion, tmp_path: Path) -> None:
    write_html(motion, tmp_path / "a.html", {"license": "CC BY 4.0"}, grounding(motion))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|<link|<img|<script src|@import|fetch\(", page)
    assert "default-src 'none'" in page


def test_words_light_up_their_time_and_joints(motion: Motion, tmp_path: Path) -> None:
    write_html(motion, tmp_path / "a.html", {}, grounding(motion))
    data = data_of(tmp_path / "a.html")
    word = data["words"][2]
    assert (word["text"], word["row"]) == ("<waves>", True)
    assert [data["names"][joint] for joint in word["lit"]] == ["left_wrist", "left_elbow"]
    assert len(word["spans"]) == 1 and word["spans"][0][0] > 0.8 and word["spans"][0][1] == pytest.approx(1.15)
    assert word["heat"][0] == 0 and word["heat"][-1] == 1
    assert not data["words"][0]["row"] and not any(data["words"][0]["heat"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.pop("words"), "not a grounding of words"),
        (lambda g: g["words"][0].update(attention=[]), "not a grounding of words"),
        (lambda g: g["words"][0].update(attention=[float("nan")]), "not a grounding of words"),
        (lambda g: g["words"].append(3), "not a grounding of words"),
        (lambda g: g.update(fps=0), "not a grounding of words"),
        (lambda g: g.update(frames=900), "the grounding of 45.00 s for a motion of 1.20 s"),
    ],
)
def test_something_else_than_a_grounding(motion: Motion, tmp_path: Path, change: Any, message: str) -> None:
    words = grounding(motion)
    change(words)
    with pytest.raises(MateError, match=message):
        write_html(motion, tmp_path / "a.html", {}, words)
    assert not list(tmp_path.iterdir())


def until(page: Any, condition: str, seconds: float = 20.0) -> None:
    """Waits for a condition of the page; Playwright's own waiting needs `eval`, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


@pytest.mark.slow
def test_a_browser_plays_it_and_lights_words_up(motion: Motion, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on the path")
    write_html(motion, tmp_path / "a.html", {"prompt": "</script><b>x"}, grounding(motion))
    with playwright.sync_playwright() as run:
        window = run.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = window.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto((tmp_path / "a.html").as_uri())
        assert page.evaluate("[mate.frame, mate.frames, mate.word, mate.litJoints]") == [0, 24, None, []]
        page.locator("#scrub").fill("9")
        assert page.evaluate("mate.frame") == 9
        page.get_by_role("button", name="<waves>").hover()
        assert page.evaluate("mate.litJoints") == ["left_wrist", "left_elbow"]
        assert page.evaluate("mate.litSeconds")[0][1] == pytest.approx(1.15)
        page.mouse.move(5, 5)
        until(page, "mate.word === null")
        page.locator("#play").click()
        until(page, "mate.playing && mate.frame !== 9")
        page.keyboard.press("ArrowRight")
        assert not page.evaluate("mate.playing")
        # The body is drawn: its colours are on the canvas.
        colors = page.evaluate(
            "(() => { const c = document.getElementById('motion'); const d = c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 0; i < d.length; i += 4)"
            " if (d[i] > 180 && d[i + 1] > 80 && d[i + 1] < 190 && d[i + 2] < 130) n++; return n; })()"
        )
        assert colors > 100
        window.close()
    assert errors == []
