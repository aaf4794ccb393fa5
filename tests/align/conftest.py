"""A toy corpus with something to learn, and a tiny language model, both made on the spot."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mate.align.aligner import Aligner, AlignerConfig
from mate.text.encoder import TextEncoder

ACTIONS = ("walks", "waves", "jumps", "kicks")
SIDES = ("left", "right")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "person", "then", ",", "the", "hand", *ACTIONS, *SIDES)


def pattern(action: str, side: str) -> np.ndarray:
    """(263,) what an action looks like here."""
    seed = ACTIONS.index(action) * 2 + SIDES.index(side)
    return np.random.default_rng(seed).normal(size=263).astype(np.float32)


def clip(events: list[tuple[str, str, int]], generator: np.random.Generator) -> np.ndarray:
    """(T, 263) features of events (action, side, frames) one after the other."""
    parts = [np.repeat(pattern(action, side)[None], frames, 0) for action, side, frames in events]
    motion = np.concatenate(parts)
    return motion + 0.3 * generator.normal(size=motion.shape).astype(np.float32)


def write_toy_set(folder: Path) -> Path:
    """A HumanML3D-layout folder: clips of one action, and clips of two, one after the other."""
    generator = np.random.default_rng(0)
    for name in ("new_joint_vecs", "texts"):
        (folder / name).mkdir(parents=True)
    meta, everything = [], []
    for split, count in (("train", 32), ("val", 8), ("test", 8)):
        names = []
        for number in range(count):
            name = f"{split}{number:03d}"
            action, side = ACTIONS[number % 4], SIDES[number // 4 % 2]
            events = [(action, side, int(generator.integers(24, 40)))]
            caption = f"a person {action} {side}"
            if number % 3 == 2:
                other = ACTIONS[(number + 1) % 4]
                events.append((other, side, int(generator.integers(24, 40))))
                caption += f", then {other} {side}"
            motion = clip(events, generator)
            np.save(folder / "new_joint_vecs" / f"{name}.npy", motion)
            (folder / "texts" / f"{name}.txt").write_text(f"{caption}##0.0#0.0\n")
            names.append(name)
            if split == "train":
                everything.append(motion)
            meta.append({"name": name, "license": "Apache-2.0"})
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
    (folder / "meta.jsonl").write_text("".join(json.dumps(row) + "\n" for row in meta))
    (folder / "dataset.json").write_text(json.dumps({"name": "toy", "license": "Apache-2.0", "fps": 20.0}))
    rows = np.concatenate(everything)
    np.save(folder / "Mean.npy", rows.mean(0))
    np.save(folder / "Std.npy", rows.std(0))
    return folder


@pytest.fixture(scope="session")
def toy_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy corpus's folder."""
    return write_toy_set(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a randomly initialised BERT of 32 features."""
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    hf: Any = transformers
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = hf.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    hf.BertModel(config).save_pretrained(folder)
    return str(folder)


def tiny_aligner(tiny_bert: str, seed: int = 0, decoder_layers: int = 1) -> Aligner:
    """A retrieval model of 32 features with random weights over the tiny BERT."""
    torch.manual_seed(seed)
    config = AlignerConfig(
        encoder=tiny_bert,
        text_dim=32,
        embedding_dim=32,
        width=32,
        layers=2,
        local_layers=1,
        heads=2,
        feedforward=32,
        decoder_layers=decoder_layers,
    )
    return Aligner(config, TextEncoder.from_pretrained(tiny_bert), np.zeros(263), np.ones(263)).eval()
