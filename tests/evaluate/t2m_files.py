"""Weights, word vectors, motions and captions for the T2M evaluator's tests, the same on every machine. Not a test file."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

# Words of the stand-in vocabulary: some of them have a class of their own, some have none.
WORDS = ("sos", "eos", "unk", "a", "man", "person", "walk", "left", "foot", "slowly", "chair", "quick", "in", "circle")
CAPTIONS = (
    "a/DET man/NOUN walk/VERB slowly/ADV in/ADP a/DET circle/NOUN",
    "person/NOUN quick/ADJ walk/VERB left/ADV",
    "a/DET zebra/NOUN walk/VERB to/PART the/DET chair/NOUN",
    " ".join(["a/DET left/ADJ foot/NOUN", "and/CCONJ"] * 7),  # 28 words: cut after 20
)
LENGTHS = (100, 196, 40, 63)


def uniform(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Numbers from -1 to 1. Only `Generator.random` is used: its stream is the simplest one there is."""
    return 2.0 * rng.random(tuple(shape)) - 1.0


def shapes(
    width: int, hidden: int, text_hidden: int, motion_hidden: int, out: int, word: int
) -> dict[str, dict[str, tuple]]:
    """The parameters' shapes, by part and name."""

    def sequence(inputs: int, size: int) -> dict[str, tuple]:
        found: dict[str, tuple] = {
            "hidden": (2, 1, size),
            "input_emb.weight": (size, inputs),
            "input_emb.bias": (size,),
        }
        for end in ("l0", "l0_reverse"):
            found |= {f"gru.weight_{kind}_{end}": (3 * size, size) for kind in ("ih", "hh")}
            found |= {f"gru.bias_{kind}_{end}": (3 * size,) for kind in ("ih", "hh")}
        found |= {"output_net.0.weight": (size, 2 * size), "output_net.0.bias": (size,)}
        found |= {"output_net.1.weight": (size,), "output_net.1.bias": (size,)}
        return found | {"output_net.3.weight": (out, size), "output_net.3.bias": (out,)}

    movement = {"main.0.weight": (hidden, width - 4, 4), "main.0.bias": (hidden,), "main.3.weight": (hidden, hidden, 4)}
    movement |= {"main.3.bias": (hidden,), "out_net.weight": (hidden, hidden), "out_net.bias": (hidden,)}
    text = sequence(word, text_hidden) | {"pos_emb.weight": (word, 15), "pos_emb.bias": (word,)}
    return {"movement_encoder": movement, "motion_encoder": sequence(hidden, motion_hidden), "text_encoder": text}


RELEASED = {"hidden": 512, "text_hidden": 512, "motion_hidden": 1024, "out": 512, "word": 300}
TINY = {"hidden": 12, "text_hidden": 10, "motion_hidden": 14, "out": 8, "word": 6}


def weights(width: int, sizes: Mapping[str, int], seed: int = 0) -> dict[str, dict[str, Tensor]]:
    """State dictionaries with seeded uniform weights, scaled by the root of what they sum over; drawn in the order of the names."""
    rng, result = np.random.default_rng(seed), {}
    for part, names in sorted(shapes(width, **sizes).items()):
        state = {}
        for name, shape in sorted(names.items()):
            values = uniform(rng, shape) / np.sqrt(np.prod(shape[1:])) * 1.7 if len(shape) == 2 else uniform(rng, shape)
            if len(shape) == 3 and name != "hidden":
                values = values / np.sqrt(np.prod(shape[1:])) * 1.7
            state[name] = torch.from_numpy(values.astype(np.float32))
        result[part] = state
    return result


def motions(width: int, lengths: Sequence[int] = LENGTHS, seed: int = 1) -> list[np.ndarray]:
    """Features (T, width) float32, not normalised."""
    rng = np.random.default_rng(seed)
    return [uniform(rng, (length, width)).astype(np.float32) for length in lengths]


def normalisation(width: int, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, (width,) float64."""
    rng = np.random.default_rng(seed)
    return 0.2 * uniform(rng, (width,)), 0.6 + 0.2 * uniform(rng, (width,))


def vectors(word: int, seed: int = 3) -> np.ndarray:
    """Word vectors (len(WORDS), word) float32."""
    return uniform(np.random.default_rng(seed), (len(WORDS), word)).astype(np.float32)


def write_glove(folder: Path, word: int) -> Path:
    """A glove folder in the published form, pickles and all."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "our_vab_data.npy", vectors(word))
    (folder / "our_vab_words.pkl").write_bytes(pickle.dumps(list(WORDS)))
    (folder / "our_vab_idx.pkl").write_bytes(pickle.dumps({name: row for row, name in enumerate(WORDS)}))
    return folder


def write_release(folder: Path, width: int = 263, sizes: Mapping[str, int] = TINY) -> Path:
    """A folder as the released archives have it: checkpoint, normalisation, and glove beside them."""
    (folder / "text_mot_match" / "model").mkdir(parents=True)
    (folder / "Comp_v6_KLD01" / "meta").mkdir(parents=True)
    torch.save({**weights(width, sizes), "epoch": 3, "iter": 7}, folder / "text_mot_match" / "model" / "finest.tar")
    for name, array in zip(("mean", "std"), normalisation(width), strict=True):
        np.save(folder / "Comp_v6_KLD01" / "meta" / f"{name}.npy", array)
    write_glove(folder / "glove", sizes["word"])
    return folder
