"""Saving in every format: dispatch, determinism, metadata, bad input, the export command."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from tests.formats.rigs import grounding, person

from mate.errors import MateError
from mate.formats.html import write_html
from mate.formats.load import load_motion
from mate.formats.npz import read_metadata
from mate.formats.npz_writer import write_npz
from mate.formats.save import SUFFIXES, Output, save_motion
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


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".bvh", ".glb"])
def test_saved_motions_load_again(motion: Motion, tmp_path: Path, suffix: str) -> None:
    path = save_motion(motion, tmp_path / f"a{suffix}", METADATA)
    loaded = load_motion(path)
    assert loaded.fps == pytest.approx(20.0, abs=1e-3)
    np.testing.assert_allclose(loaded.joints, motion.joints, atol=1e-3)


@pytest.mark.parametrize("name", ["a.fbx", "a", "a.mp4.gz"])
def test_unknown_format_lists_the_known_ones(motion: Motion, tmp_path: Path, name: str) -> None:
    with pytest.raises(MateError, match=r"\.npy, \.npz, \.csv, \.bvh, \.glb, \.html, \.mp4, \.gif, \.png"):
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
    matrices, parents, offsets = data["rig_rot_mats"], data["rig_parents"], data["rig_offsets"]
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
    index = [list(data["rig_joint_names"]).index(name) for name in data["joint_names"]]
    np.testing.assert_allclose(positions[:, index], motion.joints, atol=1e-3)


def test_npz_has_kimodos_keys_in_its_shapes(motion: Motion, tmp_path: Path) -> None:
    """The keys and shapes of Kimodo's user guide for 22 joints, and what they mean."""
    path = save_motion(motion, tmp_path / "a.npz")
    with np.load(path, allow_pickle=False) as archive:
        data = {key: archive[key] for key in archive.files}
    frames = motion.frames
    shapes = {
        "posed_joints": (frames, 22, 3), "global_rot_mats": (frames, 22, 3, 3), "local_rot_mats": (frames, 22, 3, 3),
        "foot_contacts": (frames, 4), "smooth_root_pos": (frames, 3), "root_positions": (frames, 3),
        "global_root_heading": (frames, 2),
    }  # fmt: skip
    assert {key: data[key].shape for key in shapes} == shapes
    # Heading: the fixture turns to the left by 1.2 rad a second.
    np.testing.assert_allclose(
        np.arctan2(*data["global_root_heading"].T[::-1]), 1.2 * np.linspace(0, 1.15, frames), atol=1e-4
    )
    # Local rotations and the rest offsets give the joints back, but for collar bones that move against the chest.
    world, places = data["local_rot_mats"].copy(), np.zeros((frames, 22, 3))
    for joint, parent in enumerate(data["parents"]):
        if parent < 0:
            places[:, joint] = data["root_positions"]
        else:
            world[:, joint] = world[:, parent] @ data["local_rot_mats"][:, joint]
            places[:, joint] = places[:, parent] + world[:, parent] @ data["rest_offsets"][joint]
    np.testing.assert_allclose(world, data["global_rot_mats"], atol=1e-4)
    assert np.abs(places - motion.joints).max() < 0.02
    np.testing.assert_array_equal(data["smooth_root_pos"][:, 1], data["root_positions"][:, 1])
    wiggle = [np.abs(np.diff(data[key][:, [0, 2]], n=2, axis=0)).max() for key in ("smooth_root_pos", "root_positions")]
    assert wiggle[0] < wiggle[1] + 1e-3


def test_contacts_are_feet_that_are_low_and_still(tmp_path: Path, motion: Motion) -> None:
    still = np.repeat(motion.joints[:1], 10, axis=0)
    still[..., 1] -= still[..., 1].min()
    still[5:, [7, 10], 1] += 0.3  # the left foot is lifted
    save_motion(Motion(still, 20.0), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        contacts = archive["foot_contacts"]
    low = still[:, [7, 10, 8, 11], 1] < 0.1
    assert contacts[0].tolist() == low[0].astype(float).tolist()
    assert not contacts[5:, :2].any()
    assert contacts[:, 3].all() == low[:, 3].all()


@pytest.mark.parametrize("file", ["SMPLX_NEUTRAL.npz", "smplh/male/model.npz"])
def test_pose_parameters_for_ones_own_body_model(motion: Motion, body_model: dict, file: str, tmp_path: Path) -> None:
    """AMASS's keys: read with the same model the limbs point where the motion's did, in a world with Z up."""
    from mate.formats.body_model import read_body_model

    model = tmp_path / file
    model.parent.mkdir(parents=True, exist_ok=True)
    np.savez(model, **body_model)
    save_motion(motion, tmp_path / "a.npz", METADATA, Output(body_model=read_body_model(model)))
    with np.load(tmp_path / "a.npz") as archive:
        data = {key: archive[key] for key in archive.files}
    kind = "smplx" if "SMPLX" in file else "smplh"
    assert (str(data["surface_model_type"]), str(data["gender"])) == (kind, "neutral" if kind == "smplx" else "male")
    assert data["poses"].shape == (motion.frames, 165 if kind == "smplx" else 156)
    assert data["pose_body"].shape == (motion.frames, 63)
    np.testing.assert_array_equal(data["poses"][:, :3], data["root_orient"])
    assert np.ptp(data["trans"][:, 2]) < 0.1 < np.ptp(data["trans"][:, 1]), "Z is up"
    poses = {key: data[key] for key in ("trans", "root_orient", "pose_body", "betas", "mocap_frame_rate", "gender")}
    np.savez(tmp_path / "poses.npz", surface_model_type=kind, **poses)
    back = load_motion(tmp_path / "poses.npz", body_model=model).joints
    bones = [joints[:, [4, 7, 18, 20]] - joints[:, [1, 4, 16, 18]] for joints in (back, motion.joints)]
    unit = [bone / np.linalg.norm(bone, axis=-1, keepdims=True) for bone in bones]
    np.testing.assert_allclose(unit[0], unit[1], atol=2e-3)


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


def test_bones_that_change_length_still_export(motion: Motion, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wobbly = Motion(motion.joints + rng.normal(scale=0.002, size=motion.joints.shape), 20.0)
    for suffix in (".npz", ".bvh", ".glb"):
        save_motion(wobbly, tmp_path / f"a{suffix}")
    np.testing.assert_allclose(load_motion(tmp_path / "a.bvh").joints, wobbly.joints, atol=0.03)


def test_gif_repeats_at_the_motions_own_pace(motion: Motion, tmp_path: Path) -> None:
    from PIL import Image

    for fps, pictures in ((20.0, 24), (60.0, 10), (29.97, 21)):
        save_motion(Motion(motion.joints, fps), tmp_path / "a.gif")
        with Image.open(tmp_path / "a.gif") as picture:
            assert picture.info["loop"] == 0
            total = 0
            for frame in range(getattr(picture, "n_frames", 1)):
                picture.seek(frame)
                total += picture.info["duration"]
            assert getattr(picture, "n_frames", 1) <= pictures
        assert total == pytest.approx(1000 * 24 / fps, abs=10)


@pytest.mark.parametrize(
    ("suffix", "output", "message"),
    [
        (".glb", Output(up="z"), "an up axis for .glb"),
        (".npz", Output(unit=0.01), "a unit of length for .npz"),
        (".bvh", Output(grounding={}), "words over time for .bvh"),
        (".npy", Output(rig=("a",)), "other joint names for .npy"),
        (".csv", Output(up="x"), "the up axis 'x'"),
        (".csv", Output(unit=-1.0), "a unit of -1.0 metres"),
    ],
)
def test_what_a_format_has_no_use_for(
    motion: Motion, tmp_path: Path, suffix: str, output: Output, message: str
) -> None:
    with pytest.raises(MateError, match=message):
        save_motion(motion, tmp_path / f"a{suffix}", output=output)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("unit", [None, 1.0, 0.0254])
def test_bvh_in_any_unit_and_axis(motion: Motion, tmp_path: Path, unit: float | None) -> None:
    for up in ("y", "z"):
        back = load_motion(save_motion(motion, tmp_path / f"{up}.bvh", output=Output(up=up, unit=unit)))
        np.testing.assert_allclose(back.joints, motion.joints, atol=1e-4)


def test_npy_with_z_up_in_millimetres(motion: Motion, tmp_path: Path) -> None:
    save_motion(motion, tmp_path / "a.npy", output=Output(up="z", unit=0.001))
    x, y, z = np.moveaxis(np.load(tmp_path / "a.npy"), -1, 0)
    np.testing.assert_allclose(np.stack((x, z, -y), axis=-1) / 1000, motion.joints, atol=1e-5)


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
        with pytest.raises(MateError, match="--scale 0"):
            self.run(str(source), str(tmp_path / "b.bvh"), "--scale", "0")
        with pytest.raises(MateError, match="--text for .bvh"):
            self.run(str(source), str(tmp_path / "b.bvh"), "--text", "a person")
        with pytest.raises(MateError, match="--rig-roles without --rig"):
            self.run(str(source), str(tmp_path / "b.bvh"), "--rig-roles", "x.json")
        with pytest.raises(MateError, match="expected one of them"):
            self.run(str(source), str(tmp_path / "b.html"), "--text", "a", "--grounding", "x.json")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy"]
        with pytest.raises(MateError, match=r"missing\.npy"):
            self.run(str(tmp_path / "missing.npy"), str(tmp_path / "b.bvh"))

    def test_options_for_the_output(self, motion: Motion, tmp_path: Path) -> None:
        source = save_motion(motion, tmp_path / "a.npy")
        assert self.run(str(source), str(tmp_path / "b.csv"), "--up-axis", "z", "--unit", "cm", "--scale", "2")[0] == 0
        row = (tmp_path / "b.csv").read_text().split("\n")[1].split(",")
        x, y, z = motion.joints[0, 0].tolist()
        np.testing.assert_allclose([float(value) for value in row[2:5]], [200 * x, -200 * z, 200 * y], atol=1e-3)

    @pytest.mark.parametrize("name", ["mixamo", "VRM", "file"])
    def test_onto_a_rig(self, motion: Motion, tmp_path: Path, name: str) -> None:
        source = save_motion(motion, tmp_path / "a.npy")
        (tmp_path / "mine.bvh").write_text(person())
        rig = str(tmp_path / "mine.bvh") if name == "file" else name
        assert self.run(str(source), str(tmp_path / "b.bvh"), "--rig", rig)[0] == 0
        text = (tmp_path / "b.bvh").read_text()
        assert {"mixamo": "mixamorig:LeftUpLeg", "VRM": "leftUpperLeg", "file": "JOINT LeftUpperLeg"}[name] in text
        assert load_motion(tmp_path / "b.bvh").frames == motion.frames

    def test_reading_options(self, motion: Motion, acclaim: tuple[str, str], tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "body.asf").write_text(acclaim[0])
        (tmp_path / "a.amc").write_text(acclaim[1])
        arguments = [str(tmp_path / "a.amc"), str(tmp_path / "b.csv"), "--source-fps", "60", "--json"]
        with pytest.raises(MateError, match="ASF"):
            self.run(*arguments)
        status, output = self.run(*arguments, "--asf", str(tmp_path / "elsewhere" / "body.asf"))
        assert status == 0 and json.loads(output)["fps"] == 60

    def test_words_of_a_grounding_file(self, motion: Motion, tmp_path: Path) -> None:
        source = save_motion(motion, tmp_path / "a.npy")
        (tmp_path / "words.json").write_text(json.dumps(grounding(motion)))
        assert self.run(str(source), str(tmp_path / "b.html"), "--grounding", str(tmp_path / "words.json"))[0] == 0
        assert "a person &lt;waves&gt;" in (tmp_path / "b.html").read_text(encoding="utf-8")
        (tmp_path / "words.json").write_text("{")
        with pytest.raises(MateError, match="cannot read the grounding"):
            self.run(str(source), str(tmp_path / "c.html"), "--grounding", str(tmp_path / "words.json"))
