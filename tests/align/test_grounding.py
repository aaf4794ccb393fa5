"""Words in motions: frames by attention, joints by what is lost without them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.align.conftest import tiny_aligner

from mate.align.aligner import Aligner
from mate.align.grounding import JointMethod, _gradient, _Reader, ground, held_still, joint_of_feature, word_queries
from mate.align.heatmap import draw, heat_bar, pooled, segment_bar, write_png
from mate.errors import MateError
from mate.motion.features import LAYOUT
from mate.text.split_cache import from_texts

TEXT = "a person walks left, then waves right"
FRAMES = 66


@pytest.fixture(scope="module")
def aligner(tiny_bert: str) -> Aligner:
    return tiny_aligner(tiny_bert)


@pytest.fixture(scope="module")
def motion() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(FRAMES, 263)).astype(np.float32)


@pytest.mark.parametrize("joints", ["occlusion", "gradient"])
def test_every_word_has_its_frames_and_joints(aligner: Aligner, motion: np.ndarray, joints: JointMethod) -> None:
    found = ground(aligner, motion, TEXT, joints=joints)
    assert [word.text for word in found.words] == ["a", "person", "walks", "left", "then", "waves", "right"]
    assert [word.segment for word in found.words] == [0, 0, 0, 0, -1, 1, 1]
    assert [word.motion_word for word in found.words] == [False, False, True, True, True, True, True]
    assert all(TEXT[word.start : word.end] == word.text for word in found.words)
    for word in found.words:
        assert word.attention.shape == (FRAMES,) and word.attention.sum() == pytest.approx(1, abs=1e-5)
        assert (word.attention[:64] > 0).all() and (word.attention[64:] == 0).all(), "66 frames are 16 whole units"
        assert word.joints is not None and word.joints.shape == (22,) and (word.joints >= 0).all()
        assert word.joints.sum() == pytest.approx(1, abs=1e-5) or not word.joints.any()
        assert 0 <= found.peak(word) <= FRAMES / 20
    first, second = found.segments
    assert first.start == 0 and first.end == second.start and second.end == pytest.approx(FRAMES / 20)
    assert (first.texts, second.texts) == (("a person walks left",), ("waves right",))
    assert found.omega == aligner.config.omega == 1.0


def test_the_hint_draws_attention_to_the_segment_and_none_is_none(aligner: Aligner, motion: np.ndarray) -> None:
    masses = {}
    for omega in (0.0, 1.0, 30.0):
        found = ground(aligner, motion, TEXT, omega, "none")
        assert found.omega == omega and all(word.joints is None for word in found.words)
        masses[omega] = found
    assert aligner.attention.omega == 1.0, "the model keeps its own"
    # omega = 0 does not see the segmentation: another split changes nothing
    other = ground(aligner, motion, TEXT, 0.0, "none", lambda text: from_texts(text, [text]))
    for one, two in zip(masses[0.0].words, other.words, strict=True):
        assert np.allclose(one.attention, two.attention, atol=1e-6)
    hinted = ground(aligner, motion, TEXT, 30.0, "none", lambda text: from_texts(text, [text]))
    assert not np.allclose(hinted.words[2].attention, masses[30.0].words[2].attention, atol=1e-4)


def test_the_frames_are_the_models_own_attention(aligner: Aligner, motion: np.ndarray) -> None:
    features, mask = aligner.pad([motion])
    _, frames, valid = aligner.motion(features, mask)
    _, weights = aligner.attention(word_queries(aligner, [TEXT]), frames, valid)
    found = ground(aligner, motion, TEXT, 0.0, "none")
    for n, word in enumerate(found.words):
        units = word.attention[:64].reshape(16, 4).sum(1)
        assert np.allclose(units, weights[0, :, n].mean(0).detach().numpy(), atol=1e-5)


def test_only_the_joint_that_is_read_gets_a_share(tiny_bert: str, motion: np.ndarray) -> None:
    """A model that looks at the left wrist's numbers alone owes everything to it."""
    aligner = tiny_aligner(tiny_bert, seed=1, decoder_layers=2)
    wrist = torch.from_numpy(joint_of_feature() == 20).repeat(aligner.config.stride)
    with torch.no_grad():
        first: torch.nn.Linear = aligner.motion.embed[0]  # type: ignore[assignment]
        first.weight.mul_(wrist)
    methods: tuple[JointMethod, ...] = ("occlusion", "gradient")
    for method in methods:
        found = ground(aligner, motion, TEXT, joints=method)
        assert any(word.joints is not None and word.joints.any() for word in found.words)
        for word in found.words:
            assert word.joints is not None
            assert word.joints.argmax() == 20 or not word.joints.any()
            assert word.joints[np.arange(22) != 20].max() < 0.01, "rounding, no more"


def test_a_joint_that_stands_still_gets_nothing(aligner: Aligner, motion: np.ndarray) -> None:
    still = motion.copy()
    still[:, joint_of_feature() != 16] = motion[0, joint_of_feature() != 16]
    travels = still.copy()
    still[:, [*range(3), *range(193, 196)]] = 0  # the pelvis neither travels nor turns
    for word in ground(aligner, still, TEXT).words:
        assert word.joints is not None and word.joints[16] > 0.99
    for word in ground(aligner, travels, TEXT).words:
        assert word.joints is not None and word.joints[0] > 0.01, "an even turn is movement"


def test_every_number_belongs_to_a_joint() -> None:
    owner = joint_of_feature()
    counts = np.bincount(owner, minlength=22)
    assert owner.shape == (LAYOUT.dim,) and counts[0] == 4 + 3 and (counts[1:] >= 12).all()
    assert counts[[7, 10, 8, 11]].tolist() == [13] * 4, "ground contacts belong to the feet"


def test_integrated_gradients_add_up(aligner: Aligner, motion: np.ndarray) -> None:
    """Completeness: the parts sum to the agreement with the motion less that with the motion held still."""
    features, mask = aligner.pad([motion])
    reader = _Reader(aligner, word_queries(aligner, [TEXT]), torch.zeros(1, 7, 16), mask, 0.0).only([2, 5])
    parts = _gradient(reader, features, 8, 48)
    with torch.no_grad():
        expected = reader(features)[0][0] - reader(held_still(features, 8, 48, reader.rest))[0][0]
    assert parts.shape == (22, 2)
    torch.testing.assert_close(parts.sum(0), expected, atol=0.02, rtol=0)


def test_pictures_and_bars(aligner: Aligner, motion: np.ndarray, tmp_path: Path) -> None:
    from PIL import Image

    found = ground(aligner, motion, TEXT)
    assert json.loads(json.dumps(found.to_json()))["words"][2]["joints"].keys() >= {"left_wrist", "pelvis"}
    write_png(found, tmp_path / "g.png")
    with Image.open(tmp_path / "g.png") as picture:
        assert picture.size == draw(found).size and picture.size[0] > 600
        assert np.asarray(picture).std() > 1
    attention = np.full(40, 0.01, dtype=np.float32)
    attention[10:20] = 0.1
    attention[37:] = 0.0
    assert heat_bar(attention, 8) == "  ██    "
    assert not pooled(np.zeros(9), 4).any() and not pooled(np.ones(9), 4).any(), "even attention has no shape"
    assert len(heat_bar(attention, 60)) == 60 and pooled(attention, 100).max() == 1.0
    assert set(segment_bar(found, 20)) == {"1", "2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": " "}, "empty caption"),
        ({"text": "..."}, "no words"),
        ({"omega": -1.0}, "omega"),
        ({"omega": float("nan")}, "omega"),
        ({"joints": "magic"}, "joint method"),
        ({"motion": np.zeros((9, 3), dtype=np.float32)}, "shape"),
    ],
)
def test_what_cannot_be_grounded(aligner: Aligner, motion: np.ndarray, change: dict, message: str) -> None:
    with pytest.raises(MateError, match=message):
        ground(aligner, **{"motion": motion, "text": TEXT, **change})


def test_a_clip_too_short_for_its_sub_texts(aligner: Aligner, motion: np.ndarray) -> None:
    found = ground(aligner, motion[:9], TEXT, joints="none")
    assert len(found.segments) == 1 and len(found.segments[0].texts) == 2
    assert [word.segment for word in found.words] == [0, 0, 0, 0, -1, 0, 0]
    one = ground(aligner, motion, "a person walks", joints="none")
    assert one.segments == (dataclasses.replace(one.segments[0], start=0.0, end=FRAMES / 20),)
