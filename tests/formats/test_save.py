"""Saving in every format: dispatch, determinism, metadata, bad input, the export command."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer

from mate.errors import MateError
from mate.formats.html import write_html
from mate.formats.load import load_motion
from mate.formats.npz import read_metadata, write_npz
from mate.formats.save import SUFFIXES, save_motion
from mate.motion.motion import Motion

METADATA = {"prompt": "a person turns", "license": "CC BY-NC 4.0", "model": "default"}
ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'x'"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_motion_same_bytes(motion: Motion, tmp_path: Path, suffix: str) -> None:
    short = Motion(motion.joints[:8], motion.fps, name=motion.name)
    first = save_motion(short, tmp_path / f"first{suffix}", METADATA).read_bytes()
    # Another name, another moment: neither may show.
    second = save_motion(short, tmp_path / "folder" / f"second{suffix.upper()}", METADATA).read_bytes()
    assert len(first) > 500
    assert first == second
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"first{suffix}", "folder"]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".bvh"])
def test_saved_motions_load_again(motion: Motion, tmp_path: Path, suffix: str) -> None:
    path = save_motion(motion, tmp_path / f"a{suffix}", METADATA)
    loaded = load_motion(path)
    assert loaded.fps == pytest.approx(20.0, abs=1e-3)
    np.testing.assert_allclose(loaded.joints, motion.joints, atol=1e-3)


@pytest.mark.parametrize("name", ["a.fbx", "a", "a.mp4.gz"])
def test_unknown_format_lists_the_known_ones(motion: Motion, tmp_path: Path, name: str) -> None:
    with pytest.raises(MateError, match=r"\.npy, \.npz, \.bvh, \.glb, \.html, \.mp4, \.png"):
        save_motion(motion, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_that_cannot_exist(motion: Motion, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MateError, match="choose another output path"):
        save_motion(motion, tmp_path / "file" / f"a{suffix}")


def test_npz_opens_without_pickle(motion: Motion, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    contacts = np.zeros((motion.frames, 4))
    write_npz(motion, path, METADATA | {"parents": "a clash of names", "empty": ""}, contacts)
    with np.load(path, allow_pickle=False) as archive:
        data = {key: archive[key] for key in archive.files}
    np.testing.assert_array_equal(data["posed_joints"], motion.joints)
    assert float(data["mocap_framerate"]) == float(data["mocap_frame_rate"]) == 20.0
    assert data["foot_contacts"].shape == (motion.frames, 4)
    assert "empty" not in data
    assert read_metadata(path) == METADATA | {"parents": "a clash of names"}
    # The rotation matrices are those of the rig.
    matrices, parents, offsets = data["local_rot_mats"], data["rig_parents"], data["rig_offsets"]
    assert matrices.shape == (motion.frames, len(parents), 3, 3)
    np.testing.assert_allclose(
        matrices @ matrices.swapaxes(-1, -2), np.broadcast_to(np.eye(3), matrices.shape), atol=1e-5
    )
    world, positions = matrices.copy(), np.zeros((*matrices.shape[:2], 3))
    for joint, parent in enumerate(parents):
        if parent < 0:
            positions[:, joint] = data["root_positions"]
        else:
            world[:, joint] = world[:, parent] @ matrices[:, joint]
            positions[:, joint] = positions[:, parent] + world[:, parent] @ offsets[joint]
    np.testing.assert_allclose(world, data["global_rot_mats"], atol=1e-4)
    index = [list(data["rig_joint_names"]).index(name) for name in data["joint_names"]]
    np.testing.assert_allclose(positions[:, index], motion.joints, atol=1e-3)


def test_npz_with_wrong_contacts_and_no_npz_at_all(motion: Motion, tmp_path: Path) -> None:
    with pytest.raises(MateError, match=r"expected \(24, 4\)"):
        write_npz(motion, tmp_path / "a.npz", foot_contacts=np.zeros((3, 4)))
    (tmp_path / "b.npz").write_bytes(b"not a zip file")
    with pytest.raises(MateError, match=r"b\.npz"):
        read_metadata(tmp_path / "b.npz")


def test_metadata_of_foreign_npz_does_not_unpickle(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", gender=np.array("female"), thing=np.array([{"x": 1}], dtype=object), trans=np.zeros(3))
    assert read_metadata(tmp_path / "a.npz") == {"gender": "female"}


def test_html_is_one_offline_page_and_escapes_texts(motion: Motion, tmp_path: Path) -> None:
    named = Motion(motion.joints, motion.fps, name=ATTACK)
    for i, metadata in enumerate(({"prompt": ATTACK, ATTACK: ATTACK}, {})):
        path = tmp_path / f"{i}.html"
        write_html(named, path, metadata)
        page = path.read_text(encoding="utf-8")
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "onerror=alert(2)>" not in page
        assert "<script src" not in page
        assert 'id="motion"' in page


def test_long_html_is_thinned_out(motion: Motion, tmp_path: Path) -> None:
    long = Motion(np.tile(motion.joints, (40, 1, 1)), 20.0)
    write_html(long, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert '"duration":150.0' in page.replace(" ", "")  # 960 frames: every third


def test_bones_that_change_length_still_export(motion: Motion, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wobbly = Motion(motion.joints + rng.normal(scale=0.002, size=motion.joints.shape), 20.0)
    for suffix in (".npz", ".bvh", ".glb"):
        save_motion(wobbly, tmp_path / f"a{suffix}")
    np.testing.assert_allclose(load_motion(tmp_path / "a.bvh").joints, wobbly.joints, atol=0.03)


class TestExport:
    """The command, called as a function and through typer."""

    def run(self, *arguments: str) -> tuple[int, str]:
        from typer.testing import CliRunner

        from mate.cli.export import export

        app = typer.Typer(add_completion=False)
        app.command()(export)
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    def test_converts_resamples_and_passes_the_licence_on(self, motion: Motion, tmp_path: Path) -> None:
        source = save_motion(motion, tmp_path / "a.npz", METADATA)
        status, output = self.run(str(source), str(tmp_path / "b.npz"), "--fps", "60", "--json")
        assert status == 0
        report = json.loads(output)
        assert report["fps"] == 60
        assert report["metadata"] == METADATA
        assert read_metadata(tmp_path / "b.npz") == METADATA
        loaded = load_motion(tmp_path / "b.npz")
        assert loaded.fps == 60
        assert loaded.frames == 3 * (motion.frames - 1) + 1
        np.testing.assert_allclose(loaded.joints[::3], motion.joints, atol=1e-5)

    def test_says_what_was_written(self, motion: Motion, tmp_path: Path) -> None:
        source = save_motion(motion, tmp_path / "a.npy")
        status, output = self.run(str(source), str(tmp_path / "b.bvh"))
        assert status == 0
        assert "24 frames at 20 per second" in output

    def test_bad_input(self, motion: Motion, tmp_path: Path) -> None:
        source = save_motion(motion, tmp_path / "a.npy")
        with pytest.raises(MateError, match=r"\.fbx"):
            self.run(str(source), str(tmp_path / "b.fbx"))
        with pytest.raises(MateError, match="--fps 0"):
            self.run(str(source), str(tmp_path / "b.bvh"), "--fps", "0")
        with pytest.raises(MateError, match=r"missing\.npy"):
            self.run(str(tmp_path / "missing.npy"), str(tmp_path / "b.bvh"))
