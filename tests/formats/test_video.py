"""Pictures and videos of a motion."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mate.errors import MateError
from mate.formats.figure import LEFT, RIGHT, body_figure
from mate.formats.video import render_frame, render_frames, render_strip, write_contact_sheet, write_mp4, write_strip
from mate.motion.motion import Motion
from mate.motion.skeleton import Skeleton


def near(picture: Image.Image, color: tuple[int, int, int]) -> np.ndarray:
    """Where a picture shows about this hue (dark rim and haze apart): a mask (H, W)."""
    pixels = np.asarray(picture, dtype=float)
    return np.all(np.abs(pixels - np.array(color)) < 45, axis=-1)


def test_left_and_right_limbs_appear_on_their_sides(motion: Motion) -> None:
    # From the front, the body's left is the picture's right.
    picture = render_frame(motion, 0, azimuth=0)
    left, right = np.argwhere(near(picture, LEFT)), np.argwhere(near(picture, RIGHT))
    assert len(left) > 200
    assert len(right) > 200
    assert left[:, 1].mean() > right[:, 1].mean() + 20
    behind = render_frame(motion, 0, azimuth=180)
    assert np.argwhere(near(behind, LEFT))[:, 1].mean() < np.argwhere(near(behind, RIGHT))[:, 1].mean() - 20


def test_a_raised_hand_is_higher_in_the_picture(motion: Motion) -> None:
    first, last = render_frames(motion, [0, motion.frames - 1], azimuth=0)
    assert np.argwhere(near(last, LEFT))[:, 0].min() < np.argwhere(near(first, LEFT))[:, 0].min() - 20


def test_the_whole_body_stays_inside_the_picture(motion: Motion) -> None:
    joints = motion.joints.copy()
    joints[..., 0] += np.linspace(0, 6, motion.frames)[:, None]  # fast, sideways
    for picture in render_frames(Motion(joints, 20.0), [0, 12, 23], size=(300, 200)):
        colored = near(picture, LEFT) | near(picture, RIGHT)
        assert colored.any()
        assert not colored[[0, -1]].any()
        assert not colored[:, [0, -1]].any()


def test_strip_has_one_panel_a_pose(motion: Motion) -> None:
    strip = render_strip(motion, poses=5, height=150, title="a person <turns>")
    assert strip.width == 5 * round(0.66 * 150)
    assert strip.height > 150
    assert render_strip(Motion(motion.joints[:1], 20.0), poses=5, height=150).width == round(0.66 * 150)
    with pytest.raises(MateError, match="0 poses"):
        render_strip(motion, poses=0)


def test_strip_file_keeps_metadata(motion: Motion, tmp_path: Path) -> None:
    write_strip(motion, tmp_path / "a.png", poses=2, height=80, metadata={"prompt": "a person – turns"})
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.info["prompt"] == "a person – turns"


def test_contact_sheet_stacks_motions(motion: Motion, tmp_path: Path) -> None:
    write_contact_sheet([motion, motion, motion], ["a", "b", "c"], tmp_path / "s.png", poses=2, height=60, columns=2)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width == 2 * 2 * round(0.66 * 60)
    with pytest.raises(MateError, match="1 titles for 2 motions"):
        write_contact_sheet([motion, motion], ["a"], tmp_path / "t.png")
    with pytest.raises(MateError, match="no motions"):
        write_contact_sheet([], None, tmp_path / "t.png")


def test_mp4_plays_at_the_motions_pace_and_keeps_its_comment(motion: Motion, tmp_path: Path) -> None:
    import imageio_ffmpeg

    path = tmp_path / "a.mp4"
    write_mp4(motion, path, size=(160, 120), metadata={"prompt": "a person; turns\n'left'"})
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == motion.frames
    assert seconds == pytest.approx(motion.seconds, abs=0.06)
    report = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)], capture_output=True, text=True).stderr
    assert "a person; turns" in report
    with pytest.raises(MateError, match="even numbers"):
        write_mp4(motion, path, size=(161, 120))


def test_other_skeletons_are_drawn_as_bones() -> None:
    skeleton = Skeleton("stick", ("a", "b", "c"), (-1, 0, 1), ((0, 0, 0), (0, 1, 0), (0, 1, 0)), (0, 0.5, 0.5), ())
    joints = np.array([[[0, 0.1, 0], [0, 0.6, 0], [0, 1.1, 0]]] * 2)
    motion = Motion(joints, 30.0, skeleton)
    points, capsules = body_figure(motion)
    assert points.shape == (2, 3, 3)
    assert len(capsules) == 2
    assert render_frame(motion).size == (480, 480)
