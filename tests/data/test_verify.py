"""`mate verify` finds each planted defect, and nothing in a sound set."""

import json
import shutil

import numpy as np
import pytest
from tests.motions import gliding, raised

from mate.cli.app import main
from mate.data.verify import CHECKS, side_contradiction, verify
from mate.errors import MateError


def test_a_sound_set_is_sound(prepared):
    found = verify(prepared)
    assert found.sound, found.problems
    assert found.facts["clips"] == {"train": 16, "val": 4, "test": 4}
    assert found.facts["Mean and Std are of"] == "the training split"
    assert verify(prepared, jobs=2).facts == found.facts


def edit(path, change) -> None:
    array = np.load(path)
    np.save(path, change(array))


def plant(folder, defect: str) -> None:
    joints, features = folder / "new_joints" / "000.npy", folder / "new_joint_vecs" / "000.npy"
    text = folder / "texts" / "000.txt"
    if defect == "no features":
        features.unlink()
    elif defect == "caption without motion":
        shutil.copy(text, folder / "texts" / "zzz.txt")
    elif defect == "motion without caption":
        shutil.copy(joints, folder / "new_joints" / "zzz.npy")
    elif defect == "mirror in another split":
        (folder / "test.txt").write_text((folder / "test.txt").read_text() + "M000\n")
        (folder / "train.txt").write_text((folder / "train.txt").read_text().replace("M000\n", ""))
    elif defect == "frames":
        edit(joints, lambda array: array[:-5])
    elif defect == "late caption":
        text.write_text("a person turns left#a/DET#1.0#30.0\n")
    elif defect == "nan":
        edit(joints, lambda array: np.where(np.arange(len(array))[:, None, None] == 7, np.nan, array))
    elif defect == "fps":
        description = json.loads((folder / "dataset.json").read_text())
        (folder / "dataset.json").write_text(json.dumps({**description, "fps": 30.0}))
    elif defect == "floor":
        edit(joints, lambda array: array - np.array([0, 0.3, 0], dtype=np.float32))
        edit(features, lambda array: lower(array))
    elif defect == "bones":
        edit(joints, lambda array: array * np.linspace(1, 1.2, len(array), dtype=np.float32)[:, None, None])
    elif defect == "statistics":
        edit(folder / "Std.npy", lambda array: np.concatenate([array[:4] / 5, array[4:]]))
    elif defect == "empty caption":
        text.write_text("#\n")
    elif defect == "duplicate":
        shutil.copy(folder / "new_joint_vecs" / "001.npy", folder / "new_joint_vecs" / "000.npy")
        shutil.copy(folder / "new_joints" / "001.npy", folder / "new_joints" / "000.npy")
    elif defect == "side":
        text.write_text(text.read_text().replace("left", "right"))
    elif defect == "rotations":
        edit(features, lambda array: np.concatenate([array[:, :67], -array[:, 67:]], axis=1))


def lower(features: np.ndarray) -> np.ndarray:
    features = features.copy()
    features[:, 3] -= 0.3
    features[:, 5:67:3] -= 0.3
    return features


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        ("no features", "files"),
        ("caption without motion", "files"),
        ("motion without caption", "files"),
        ("mirror in another split", "splits"),
        ("frames", "lengths"),
        ("late caption", "lengths"),
        ("nan", "numbers"),
        ("fps", "fps"),
        ("floor", "floor"),
        ("bones", "bones"),
        ("statistics", "statistics"),
        ("empty caption", "captions"),
        ("duplicate", "duplicates"),
        ("side", "sides"),
        ("rotations", "features"),
    ],
)
def test_a_planted_defect_is_found(long_set, tmp_path, defect, check):
    folder = tmp_path / "copy"
    shutil.copytree(long_set, folder)
    plant(folder, defect)
    found = verify(folder)
    assert not found.sound
    assert found.of(check), found.problems
    assert all(problem.check in CHECKS for problem in found.problems)


@pytest.fixture(scope="module")
def long_set(tmp_path_factory):
    """Clips that are long enough for the features' check (more than 82 frames)."""
    from mate.data.build import write_dataset
    from mate.data.dataset import Caption, Sample

    def sample(number: int, split: str) -> Sample:
        side = (-1) ** number
        caption = Caption(f"a person turns {'left' if side > 0 else 'right'}")
        return Sample(f"{number:03d}", gliding(130 + number, turn=1.6 * side), (caption,), split)

    folder = tmp_path_factory.mktemp("verify") / "set"
    samples = [sample(number, split) for number, split in enumerate(("train", "train", "train", "val", "test"))]
    write_dataset(samples, folder, name="long", license="CC0", mirror=True)
    return folder


def test_the_command(prepared, capsys):
    assert main(["verify", str(prepared), "--jobs", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sound"] is True
    (prepared / "texts" / "000.txt").unlink()
    assert main(["verify", str(prepared), "--jobs", "1"]) == 1
    assert "no captions" in capsys.readouterr().out
    assert main(["verify", str(prepared / "texts")]) == 2
    with pytest.raises(MateError, match="expected a HumanML3D-layout folder"):
        verify(prepared / "texts")


@pytest.mark.parametrize(
    ("text", "turn", "contradicts"),
    [
        ("a person turns left", 1.6, False),
        ("a person turns right", 1.6, True),
        ("a person spins clockwise", 1.6, True),
        ("a person turns counterclockwise", 1.6, False),
        ("a person turns right, then left", 1.6, False),
        ("a person walks with the right arm out", 1.6, False),
        ("a person turns right", 0.3, False),
    ],
)
def test_turns_against_their_label(text, turn, contradicts):
    assert (side_contradiction(gliding(80, turn=turn), text, 20.0) is not None) == contradicts


def test_hands_against_their_label():
    left = raised(0)
    assert side_contradiction(left, "a person raises the left hand", 20.0) is None
    assert "right" in (side_contradiction(left, "a person raises the right hand", 20.0) or "")
    assert side_contradiction(raised(None), "a person raises the right hand", 20.0) is None
