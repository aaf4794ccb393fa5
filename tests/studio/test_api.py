"""The studio over HTTP, with the shipped models: motions, words, files, uploads, and what goes wrong."""

import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from tests.studio.conftest import PROMPT, QuickEngine, wait

import mate
from mate.generate.sub_texts import BySubTexts
from mate.motion.skeleton import HUMANML3D
from mate.studio.config import StudioConfig
from mate.studio.server import create_app


def joints_of(studio: TestClient, id: str, take: int) -> np.ndarray:
    """(T, 22, 3) of the points that the page gets."""
    count = studio.get("/api/figure").json()["points"]
    answer = studio.get(f"/api/jobs/{id}/takes/{take}/points")
    return np.frombuffer(answer.content, dtype="<f4").reshape(-1, count, 3)[:, :22]


def test_state_offers_models_without_their_folders(studio: TestClient) -> None:
    answer = studio.get("/api/state")
    state = answer.json()
    assert [model["name"] for model in state["models"]] == ["default", "kinwords"]
    assert [model["patch"] for model in state["models"]] == [True, False]
    assert "CC BY-NC" in state["models"][0]["license"] and state["downloads"] == ["bvh", "glb", "mp4", "npz"]
    assert str(Path(mate.__file__).parent) not in answer.text and not state["failure"]


def test_with_and_without_the_patch(studio: TestClient, made: dict[str, Any]) -> None:
    """One seed, one length, two language models: different motions, each as `mate generate` makes it, part by part."""
    takes = made["result"]["takes"]
    assert [take["variant"] for take in takes] == ["patched", "plain"] and {take["frames"] for take in takes} == {80}
    joints = [joints_of(studio, made["id"], number) for number in (0, 1)]
    assert np.abs(joints[0] - joints[1]).max() > 0.01
    generator = mate.from_pretrained("default")
    [expected] = BySubTexts(generator).sample([PROMPT], [4.0], 3)
    # Batches of PyTorch threads round differently, by far less than a tenth of a millimetre.
    assert np.abs(joints[0] - expected).max() < 1e-4
    assert {take["facts"]["sub_texts"] for take in takes} == {
        "a person walks forward | a person waves with the left hand"
    }


@pytest.mark.parametrize(("prompt", "whole"), [(PROMPT, True), ("a person walks forward", False)])
def test_a_prompt_read_as_one(studio: TestClient, prompt: str, whole: bool) -> None:
    """As asked for, or as there is one action: `Generator.sample` makes it."""
    wanted = {"prompt": prompt, "model": "default", "seed": 3, "whole": whole}
    status = wait(studio, studio.post("/api/generate", json=wanted).json()["id"])
    [expected] = mate.from_pretrained("default").sample([prompt], None, 3)
    joints = joints_of(studio, status["id"], 0)
    assert joints.shape == expected.shape and np.abs(joints - expected).max() < 1e-4
    assert "sub_texts" not in status["result"]["takes"][0]["facts"]


def test_the_words_are_those_of_mate_ground(studio: TestClient, made: dict[str, Any]) -> None:
    from mate.align.aligner import Aligner
    from mate.align.grounding import ground
    from mate.align.score import default_model
    from mate.motion.features import process_motion

    found = made["result"]["takes"][0]["grounding"]
    features = process_motion(joints_of(studio, made["id"], 0), precise=True)
    aligner = Aligner.from_pretrained(default_model())
    expected = ground(aligner, features, PROMPT)
    assert [word["text"] for word in found["words"]] == [word.text for word in expected.words]
    for word, other in zip(found["words"], expected.words, strict=True):
        np.testing.assert_allclose(word["attention"], other.attention, atol=2e-4)
        assert other.joints is not None
        np.testing.assert_allclose(word["joints"], other.joints, atol=2e-3)
        assert PROMPT[slice(*word["characters"])] == word["text"]
    alone = ground(aligner, features, PROMPT, omega=0.0, joints="none")
    np.testing.assert_allclose(found["words"][-1]["alone"], alone.words[-1].attention, atol=2e-4)
    # The prior is told apart: it is the Gaussian of the word's own segment, highest in its middle.
    last, segment = found["words"][-1], found["segments"][1]
    middle = (segment["start"] + segment["end"]) / 2
    assert abs((np.argmax(last["prior"]) + 2) / 20 - middle) < 0.25 and 0.9 < max(last["prior"]) <= 1


def test_grounding_another_caption(studio: TestClient, made: dict[str, Any]) -> None:
    answer = studio.post(f"/api/jobs/{made['id']}/ground", json={"caption": "someone runs"})
    status = wait(studio, answer.json()["id"])
    assert [word["text"] for word in status["result"]["takes"][1]["grounding"]["words"]] == ["someone", "runs"]
    np.testing.assert_array_equal(joints_of(studio, status["id"], 0), joints_of(studio, made["id"], 0))
    wordless = studio.post(f"/api/jobs/{made['id']}/ground", json={"caption": "?!"}).json()["id"]
    assert "no words" in wait(studio, wordless)["error"]


@pytest.mark.parametrize("format", ["bvh", "npz"])
def test_downloads_hold_the_motion(studio: TestClient, made: dict[str, Any], format: str, tmp_path: Path) -> None:
    answer = studio.get(f"/api/jobs/{made['id']}/takes/0/file/{format}")
    name = answer.headers["content-disposition"].split('"')[1]
    assert name == f"a-person-walks-forward-then-waves-with-the-left-hand.{format}"
    (tmp_path / name).write_bytes(answer.content)
    motion = mate.load_motion(tmp_path / name)
    assert np.abs(motion.joints - joints_of(studio, made["id"], 0)).max() < 2e-3


def test_glb_and_mp4(studio: TestClient, made: dict[str, Any]) -> None:
    glb = studio.get(f"/api/jobs/{made['id']}/takes/1/file/glb").content
    assert glb[:4] == b"glTF" and int.from_bytes(glb[8:12], "little") == len(glb)
    document = json.loads(glb[20 : 20 + int.from_bytes(glb[12:16], "little")])
    assert document["animations"] and document["skins"]


def test_neighbours(studio: TestClient, made: dict[str, Any]) -> None:
    found = studio.get("/api/neighbours", params={"word": " Left "}).json()
    before, after = ([near["word"] for near in found[when]] for when in ("before", "after"))
    assert found["word"] == "left" and before[0] == "right" and set(before) != set(after)
    encoder = mate.TextEncoder.from_pretrained()
    rows = [encoder.table[encoder.tokenizer.token_to_id(word)].float() for word in ("left", "right")]
    cosine = float(rows[0] @ rows[1] / rows[0].norm() / rows[1].norm())
    assert found["before"][0]["cosine"] == pytest.approx(cosine, abs=1e-3)
    [right] = [point for point in found["points"] if point["word"] == "right"]
    assert right["cosine_after"] < right["cosine_before"] - 0.05  # what alignment is for
    assert found["points"][0]["word"] == "left" and found["moved"] < 0.999


def test_figure_matches_the_points(studio: TestClient) -> None:
    figure = studio.get("/api/figure").json()
    assert figure["joints"] == list(HUMANML3D.joint_names) and figure["parents"] == list(HUMANML3D.parents)
    for capsule in figure["capsules"]:
        assert max(capsule["a"], capsule["b"]) < figure["points"] and max(capsule["joint_a"], capsule["joint_b"]) < 22


def test_upload_finds_the_words_of_a_caption(studio: TestClient, bvh: bytes) -> None:
    answer = studio.post("/api/upload", data={"caption": "a person glides"}, files={"file": ("../../Glide.BVH", bvh)})
    assert answer.status_code == 202, answer.text
    [take] = wait(studio, answer.json()["id"])["result"]["takes"]
    assert (take["variant"], take["facts"]["file"], take["frames"]) == ("file", "Glide.BVH", 40)  # 2 s, 20 a second
    assert [word["text"] for word in take["grounding"]["words"]] == ["a", "person", "glides"]
    joints = joints_of(studio, answer.json()["id"], 0)
    assert abs(joints[..., 1].min()) < 1e-3 and np.abs(joints[0, 0, [0, 2]]).max() < 1e-3


def test_another_model(studio: TestClient) -> None:
    wanted = {"prompt": "a person walks", "model": "kinwords", "seconds": 2.0}
    status = wait(studio, studio.post("/api/generate", json=wanted).json()["id"])
    [take] = status["result"]["takes"]
    assert take["facts"]["license"] == "Apache-2.0" and take["frames"] == 40
    refused = studio.post("/api/generate", json={**wanted, "variant": "both"})
    assert refused.status_code == 400 and "without a word patch" in refused.json()["error"]


def test_a_prompt_without_words_still_moves(studio: TestClient) -> None:
    wanted = {"prompt": "走る", "model": "default", "seconds": 1.0}
    [take] = wait(studio, studio.post("/api/generate", json=wanted).json()["id"])["result"]["takes"]
    assert take["frames"] == 20 and take["grounding"] is None and "no words" in take["note"]


# ---------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"prompt": "  ", "model": "default"}, "empty"),
        ({"prompt": "", "model": "default"}, "prompt"),
        ({"prompt": "x" * 2001, "model": "default"}, "2000"),
        ({"prompt": "a walk", "model": "/etc/passwd"}, "expected one of default"),
        ({"prompt": "a walk", "model": "default", "seconds": 99}, "0.5 to 10"),
        ({"prompt": "a walk", "model": "default", "seed": -1}, "seed"),
        ({"prompt": "a walk", "model": "default", "guidance": 1e9}, "guidance"),
        ({"prompt": "a walk", "model": "default", "variant": "c"}, "variant"),
        ({"prompt": ["a walk"], "model": "default"}, "prompt"),
        ({"prompt": "a walk", "model": "default", "whole": 7}, "whole"),
        (b'{"prompt": ', "JSON"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(quick: TestClient, body: Any, said: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = quick.post("/api/generate", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and said in answer.json()["error"] and "\n" not in answer.json()["error"]


def test_a_fault_of_ours_tells_nothing(quick: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    status = wait(quick, quick.post("/api/generate", json={"prompt": "break", "model": "default"}).json()["id"])
    assert status["state"] == "failed" and "secret" not in str(status) and "something went wrong" in status["error"]
    assert "secret" in caplog.text  # the terminal gets it


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/jobs/unknown"),
        ("post", "/api/jobs/unknown/cancel"),
        ("get", "/api/jobs/unknown/takes/0/points"),
        ("get", "/api/jobs/unknown/takes/0/file/bvh"),
        ("get", "/assets/../../server.py"),
        ("get", "/%2e%2e/server.py"),
        ("get", "/..%2f..%2fserver.py"),
        ("get", "//etc/passwd"),
    ],
)
def test_what_is_not_there(quick: TestClient, method: str, path: str) -> None:
    answer = quick.request(method, path)
    assert answer.status_code == 404 and set(answer.json()) == {"error"} and "/" not in answer.json()["error"]


@pytest.mark.parametrize("format", ["exe", "..%2Fbvh", "html"])
def test_unknown_formats(quick: TestClient, format: str) -> None:
    id = quick.post("/api/generate", json={"prompt": "x", "model": "default"}).json()["id"]
    wait(quick, id)
    assert quick.get(f"/api/jobs/{id}/takes/0/file/{format}").status_code in (400, 404)


def buffer(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.bvh", b"HIERARCHY\nROOT hips\n{", "broken.bvh, line 3"),
        ("empty.bvh", b"", "empty.bvh"),
        ("motion.exe", b"MZ", "motion.exe: unknown kind of file"),
        ("$(touch x).npy", b"\x93NUMPY", "$(touch x).npy"),
        ("/etc/passwd.npz", b"PK", "passwd.npz"),
        ("long.npy", buffer(np.zeros((20 * 61, 22, 3), np.float32)), "at most 60 s"),
        (
            "objects.npy",
            b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
            "objects.npy",
        ),
    ],
)
def test_bad_uploads_are_told_what_is_wrong(quick: TestClient, name: str, content: bytes, said: str) -> None:
    answer = quick.post("/api/upload", data={"caption": "a walk"}, files={"file": (name, content)})
    error = answer.json()["error"]
    assert answer.status_code == 400 and said in error
    assert "/tmp" not in error and "mate-studio" not in error and "/etc" not in error


def test_uploads_need_a_caption_and_a_file(quick: TestClient, bvh: bytes) -> None:
    assert "caption" in quick.post("/api/upload", data={"caption": " "}, files={"file": ("a.bvh", bvh)}).json()["error"]
    assert "no file" in quick.post("/api/upload", data={"caption": "a walk"}).json()["error"]
    two = [("file", ("a.bvh", bvh)), ("file", ("b.bvh", bvh))]
    assert "expected one motion" in quick.post("/api/upload", data={"caption": "a walk"}, files=two).json()["error"]


def test_large_uploads_are_refused(bvh: bytes) -> None:
    with TestClient(create_app(StudioConfig(max_upload=1000), QuickEngine()), base_url="http://127.0.0.1") as client:
        assert client.post("/api/upload", data={"caption": "a"}, files={"file": ("a.bvh", bvh)}).status_code == 413


def test_a_file_that_takes_too_long_is_given_up_and_its_process_killed(
    bvh: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reader is replaced by one that never ends; afterwards it is gone."""
    note = tmp_path / "pid"
    (tmp_path / "python").write_text(f"#!/bin/sh\necho $$ > {note}\nexec sleep 60\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr("mate.studio.uploads.sys.executable", str(tmp_path / "python"))
    with TestClient(create_app(StudioConfig(parse_seconds=0.5), QuickEngine()), base_url="http://127.0.0.1") as client:
        start = time.monotonic()
        answer = client.post("/api/upload", data={"caption": "a"}, files={"file": ("slow.bvh", bvh)})
        assert answer.status_code == 400 and "slow.bvh could not be read within 0.5 s" in answer.json()["error"]
        assert time.monotonic() - start < 20
    assert subprocess.run(["kill", "-0", note.read_text().strip()], capture_output=True, check=False).returncode != 0


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on memory there")
def test_a_greedy_file_is_stopped(bvh: bytes) -> None:
    with TestClient(create_app(StudioConfig(parse_bytes=2**25), QuickEngine()), base_url="http://127.0.0.1") as client:
        answer = client.post("/api/upload", data={"caption": "a"}, files={"file": ("greedy.bvh", bvh)})
        assert answer.status_code == 400 and "greedy.bvh" in answer.json()["error"]
        assert client.get("/api/state").status_code == 200


# ---------------------------------------------------------------------------------------------- many at once


def test_fifty_tabs_queue_and_none_is_lost() -> None:
    engine = QuickEngine(pause=0.002)
    with TestClient(create_app(StudioConfig(), engine), base_url="http://127.0.0.1") as client:

        def tab(seed: int) -> bool:
            wanted = {"prompt": f"number {seed}", "model": "default", "seed": seed}
            status = wait(client, client.post("/api/generate", json=wanted).json()["id"])
            same = joints_of(client, status["id"], 0)
            return status["result"]["caption"] == f"number {seed}" and bool((same == seed).all())

        with ThreadPoolExecutor(50) as tabs:
            assert all(tabs.map(tab, range(50)))
        assert client.get("/api/state").json()["queue"] == {"waiting": 0, "running": 0, "kept": 50}


def test_cancelling_over_http() -> None:
    with TestClient(create_app(StudioConfig(), QuickEngine(pause=0.2)), base_url="http://127.0.0.1") as client:
        ids = [client.post("/api/generate", json={"prompt": "x", "model": "default"}).json()["id"] for _ in range(3)]
        assert client.get(f"/api/jobs/{ids[2]}").json()["position"] == 2
        for id in ids[:2]:
            client.post(f"/api/jobs/{id}/cancel")
        assert [wait(client, id)["state"] for id in ids] == ["cancelled", "cancelled", "done"]


@pytest.mark.slow
def test_memory_is_flat_over_two_hundred_generations(studio: TestClient) -> None:
    psutil = pytest.importorskip("psutil")
    process, used = psutil.Process(), []
    for seed in range(200):
        wanted = {"prompt": PROMPT, "model": "default", "seconds": 4.0, "seed": seed, "variant": "both"}
        id = studio.post("/api/generate", json=wanted).json()["id"]
        assert wait(studio, id)["state"] == "done"
        studio.get(f"/api/jobs/{id}/takes/0/points")
        used.append(process.memory_info().rss / 2**20)
    print(f"MiB resident after 20, 50, 100, 150, 200: {[round(used[n - 1]) for n in (20, 50, 100, 150, 200)]}")
    assert used[199] - used[19] < 60  # 180 results of about 0.15 MiB are kept, and no more than 200
