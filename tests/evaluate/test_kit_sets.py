"""Evaluation on KIT-ML: anybody's motions, the card, what is left out, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests import kit
from tests import motions as make
from tests.evaluate.t2m_files import write_release

from mate.cli.app import main
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample, open_dataset
from mate.errors import MateError
from mate.evaluate.card import read_card
from mate.evaluate.generators import Plan, Row, check
from mate.evaluate.protocol import plan
from mate.evaluate.row import Measure
from mate.evaluate.run import sampled
from mate.evaluate.subjects import data_facts, features_of, positions_of, read_clips, read_motion
from mate.motion.features import HUMANML3D_FEATURES, KIT_FEATURES


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.prepare(tmp_path_factory.mktemp("kit"), {"train": 2, "test": 36}, frames=60)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("released") / "kit", 251)


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("humanml3d") / "set"
    write_dataset(
        [Sample("a", make.gait(3.0, 1.0), (Caption("a person walks"),), "test")], folder, name="w", license="CC0-1.0"
    )
    return folder


def test_joints_in_metres_become_kits_features() -> None:
    joints = kit.walking(40)
    features = features_of(joints / 1000, KIT_FEATURES)
    assert features.shape == (39, 251)
    np.testing.assert_allclose(positions_of(features), joints[:-1] / 1000, atol=1e-4)
    walk = make.gait(2.0, 1.0)
    assert positions_of(features_of(walk, HUMANML3D_FEATURES)).shape == (39, 22, 3)


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_joints_of_either_unit_and_rate(tmp_path: Path, unit: float) -> None:
    joints = kit.walking(50) / 1000
    np.save(tmp_path / "a.npy", (joints * unit).astype(np.float32))
    features, own = read_motion(tmp_path / "a.npy", 251, 12.5, 12.5)
    assert own is not None and features.shape == (49, 251)
    np.testing.assert_allclose(own, joints, atol=1e-5)
    faster, _ = read_motion(tmp_path / "a.npy", 251, 25.0, 12.5)
    assert len(faster) == 24
    np.save(tmp_path / "b.npy", make.gait(2.0, 1.0))
    with pytest.raises(MateError, match=r"the data set is KIT-ML's; .* joints \(T, 21, 3\)"):
        read_motion(tmp_path / "b.npy", 251, 12.5, 12.5)


def test_a_card_says_what_it_leaves_out(
    data: Path, released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, folder = open_dataset(data, "test"), tmp_path / "made"
    folder.mkdir()
    for number in range(len(clips)):
        shape = clips.joints(number) / 1000 if number % 2 else clips.features(number)
        np.save(folder / f"{number:04d}.npy", np.asarray(shape, np.float32))
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"{captions[0].text}\n" for captions in clips.captions))
    out = tmp_path / "card.json"
    command = ["evaluate", "--data", str(data), "--motions", str(folder), "--prompts", str(prompts), "--fps", "12.5"]
    command += ["--evaluator", str(released), "--protocol", "guo-fixed", "-o", str(out)]
    assert main(command) == 0, capsys.readouterr().err
    card = read_card(out)
    assert card["judge"] == card["quality"] == {} and "left out on KIT-ML's" in card["left_out"]
    assert card["data"]["fps"] == 12.5 and card["data"]["width"] == 251
    assert {"R@1", "FID", "MM-Dist"} <= card["rows"]["made"][next(iter(card["evaluators"]))].keys()
    assert "left out on KIT-ML's" in " ".join(capsys.readouterr().out.split())


def test_a_generator_of_other_joints_is_refused(data: Path) -> None:
    class Walker:
        spec = HUMANML3D_FEATURES

    clips = read_clips(data, "test", plan("guo-fixed", 12.5, 1).span())
    with pytest.raises(
        MateError, match=r"263 numbers a frame at 20 a second \(humanml3d\), the data set has 251 at 12.5"
    ):
        sampled(Walker(), clips, plan("guo-fixed", 12.5, 1), {})


def test_a_table_is_about_one_skeleton(data: Path, released: Path, walks: Path, tmp_path: Path) -> None:
    def wanted(test: Path, *evaluators: Path) -> Plan:
        return Plan((data,), Measure((test,)), tmp_path, tmp_path, preset="tiny", evaluators=evaluators)

    check(wanted(data, released), [Row("mdm", "frozen", 0)])
    with pytest.raises(MateError, match=r"263 numbers a frame, .* 251; a table is about sets of one skeleton"):
        check(wanted(walks, released), [])
    with pytest.raises(MateError, match="the packaged evaluators read 263 numbers a frame"):
        check(wanted(data), [])
    with pytest.raises(MateError, match="reads 263 numbers a frame"):
        check(wanted(data, write_release(tmp_path / "t2m")), [])


def test_a_published_folder_has_its_layouts_rate(data: Path, tmp_path: Path) -> None:
    import shutil

    bare = Path(shutil.copytree(data, tmp_path / "bare"))
    (bare / "dataset.json").unlink()
    assert data_facts(bare)["fps"] == 12.5
    assert json.loads((data / "dataset.json").read_text())["fps"] == 12.5
