"""A generator that stays as it is, asked with patched words, with and without the head that brings them back."""

import json
from pathlib import Path

import pytest
import torch
from tests import motions as make

from mate.checkpoints import default_model
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample
from mate.errors import MateError
from mate.evaluate.distilled import measure, to_markdown, training_captions
from mate.evaluate.row import single_events
from mate.generate.momask.config import preset
from mate.generate.momask.model import MoMaskGenerator
from mate.text.distill import TextHead
from mate.text.encoder import TextEncoder

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = ("walks forward", "strolls ahead", "goes straight on"), ("raises the left hand", "lifts the left arm")
    samples = [
        Sample(
            f"clip{n}", make.gait(2.5, 1.0), tuple(Caption(f"a person {text}") for text in texts[n % 2]), "train", {}
        )
        for n in range(6)
    ]
    folder = tmp_path_factory.mktemp("data") / "made-up"
    write_dataset(samples, folder, name="made-up", license="CC0-1.0")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    generator = MoMaskGenerator(preset("tiny"), TextEncoder.from_pretrained())
    return Path(generator.save_pretrained(tmp_path_factory.mktemp("model") / "tiny", "a card"))


def test_captions_of_a_clip_stay_together(data: Path) -> None:
    texts, clips = training_captions([data])
    assert len(texts) == 15 and clips == [0] * 3 + [1] * 2 + [2] * 3 + [3] * 2 + [4] * 3 + [5] * 2
    fewer, own = training_captions([data], most=8)
    assert len(fewer) == 9 and own == [0] * 3 + [1] * 3 + [2] * 3


def test_four_rows_with_the_same_prompts(data: Path, model: Path, tmp_path: Path) -> None:
    patch = default_model() / "patch.safetensors"
    card = measure(model, patch, [data], steps=5, every=500, seconds=(1.0,), head_path=tmp_path / "head.safetensors")
    assert list(card["rows"]) == ["as published", "as published, head", "patched", "patched, head"]
    alone = single_events(MoMaskGenerator.from_pretrained(model), (1.0,), 0)
    assert card["rows"]["as published"]["single_events"] == alone, "the first row is the generator as it is"
    assert TextHead.load(tmp_path / "head.safetensors").down.weight.shape[0] == 384
    lines = to_markdown(json.loads(json.dumps(card))).splitlines()
    assert len(lines) == 6 and lines[2].startswith("| as published |")


def test_a_head_is_the_last_thing_that_a_pooled_vector_goes_through() -> None:
    encoder = TextEncoder.from_pretrained()
    with torch.no_grad():
        before = encoder.encode(["a person walks"])
        encoder.head = TextHead(384, 8)
        torch.nn.init.normal_(encoder.head.down.weight)
        after = encoder.encode(["a person walks"])
        torch.testing.assert_close(after.pooled, encoder.head(before.pooled))
    assert torch.equal(after.tokens, before.tokens)


def test_a_generator_with_a_patch_of_its_own_is_no_subject(data: Path) -> None:
    with pytest.raises(MateError, match="a patch of its own"):
        measure(default_model(), default_model() / "patch.safetensors", [data], steps=1, every=500, seconds=(1.0,))
