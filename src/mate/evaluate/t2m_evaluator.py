"""The T2M evaluator (Guo et al., CVPR 2022), on which the field's tables rest: text and motion in one 512-d space.

A motion goes through two strided convolutions ("movements" of four frames) and a bidirectional GRU; a caption through a bidirectional
GRU over GloVe vectors plus its parts of speech. Parameters have the names of the released checkpoint.

N: samples, T: frames, M: movements, L: words with the marks at both ends, D: 512.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from mate.checkpoints import sha256
from mate.errors import MateError
from mate.evaluate.glove import POS, Glove, load_glove

UNIT, LONGEST, WORDS = 4, 196, 20
# The last four features are foot contacts, which the evaluator does not see.
CONTACTS = 4
WIDTHS = {
    263: "HumanML3D (22 joints)",
    251: "KIT-ML (21 joints)",
    67: "MARDM",
    272: "MotionStreamer",
}
_PARTS = ("movement_encoder", "motion_encoder", "text_encoder")
# Where the released archives keep the files, from the folder that the user names.
_CHECKPOINTS = ("text_mot_match/model/finest.tar", "model/finest.tar", "finest.tar")
_GLOVE = ("glove", "../glove", "../../glove")
# SHA-256 of the small files as their authors' repositories have them: word lists (text-to-motion), means and deviations (MDM).
PUBLISHED = {
    "our_vab_words.pkl": ("fac88da1be6f00d36b72b88c9745c8ac35a94a7bd6ccf1fa3bab380faf8c2e0d",),
    "our_vab_idx.pkl": ("d85dce83d2c27a92bb94bb51dc1f55a04fcaa328c359d23eccf648e296c16493",),
    "mean": (
        "0bdb5ba69a3a9e34d71990db15bc535ebc024c8d95ddb5574196f96058faa7d3",
        "9e23fac51db2215ab5666324226be48f27efd6a6e7b22ebd17c28e0f056a7c22",
    ),
    "std": (
        "6a5f7d60301c9465972fc225f8ad0ee8f957e7720431189123eb6d15873a9557",
        "296a60656cea07e65ee64512d73d47c0412df0698b35194116330661be32fa90",
    ),
}


def check_width(width: int, expected: int) -> None:
    """Raises MateError unless features of `width` are what an evaluator of `expected` numbers a frame can judge; says what would be."""
    if width == expected:
        return
    known = f" ({WIDTHS[width]})" if width in WIDTHS else ""
    wanted = f"{expected} ({WIDTHS[expected]})" if expected in WIDTHS else str(expected)
    raise MateError(
        f"got features of width {width}{known}, expected {wanted}: every representation has an evaluator of its own, and figures of "
        "different evaluators cannot be compared; make HumanML3D features from the joint positions (`mate export`), or train an "
        "evaluator for this representation"
    )


class MovementEncoder(nn.Module):
    """(N, T, W) -> (N, T / 4, D). Frames after the end of a motion are zero; the last movement of a motion looks at them."""

    def __init__(self, width: int, hidden: int, out: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(width, hidden, 4, stride=2, padding=1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(hidden, out, 4, stride=2, padding=1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
        )
        self.out_net = nn.Linear(out, out)

    def forward(self, motions: Tensor) -> Tensor:
        return self.out_net(self.main(motions.mT).mT)


class SequenceEncoder(nn.Module):
    """A bidirectional GRU; the last states of both directions -> (N, D). For captions with parts of speech added to the words."""

    def __init__(self, width: int, hidden: int, out: int, parts_of_speech: int | None = None):
        super().__init__()
        if parts_of_speech is not None:
            self.pos_emb = nn.Linear(parts_of_speech, width)
        self.input_emb = nn.Linear(width, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.output_net = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, out)
        )
        self.hidden = nn.Parameter(torch.zeros(2, 1, hidden))

    def forward(self, inputs: Tensor, lengths: Tensor, classes: Tensor | None = None) -> Tensor:
        """Args: inputs (N, L, W); lengths (N,) on the CPU; classes (N, L, 15) for captions."""
        if classes is not None:
            inputs = inputs + self.pos_emb(classes)
        packed = pack_padded_sequence(self.input_emb(inputs), lengths, batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed, self.hidden.expand(-1, len(inputs), -1).contiguous())
        return self.output_net(torch.cat([last[0], last[1]], dim=-1))


class T2MEvaluator:
    """Embeds motions and captions. Always in evaluation mode, without gradients.

    Attributes:
        width: numbers a frame, 263 or 251; space: width of the embeddings, 512.
        files: SHA-256 of every file that it was read from, by role.
    """

    def __init__(
        self,
        state: Mapping[str, Mapping[str, Tensor]],
        glove: Glove,
        mean: np.ndarray,
        std: np.ndarray,
        files: Mapping[str, str] | None = None,
        device: str = "cpu",
    ):
        """The evaluator with given weights; `from_files` reads them.

        Args:
            state: state dictionaries `movement_encoder`, `motion_encoder`, `text_encoder`; sizes are read off them.
            mean, std: (W,) that the evaluator was trained with. Not those of a data set: in the published files the deviations of the
                root's speeds and height and of the foot contacts are a 25th of the data's.

        Raises:
            MateError: weights, word vectors and normalisation do not fit each other.
        """
        try:
            movement = state["movement_encoder"]["main.0.weight"].shape
            latent = state["movement_encoder"]["out_net.weight"].shape[0]
            self.movement_encoder = MovementEncoder(movement[1], movement[0], latent)
            text, motion = (state[name]["input_emb.weight"].shape for name in ("text_encoder", "motion_encoder"))
            out = state["motion_encoder"]["output_net.3.weight"].shape[0]
            self.motion_encoder = SequenceEncoder(motion[1], motion[0], out)
            self.text_encoder = SequenceEncoder(text[1], text[0], out, len(POS))
            for name in _PARTS:
                getattr(self, name).load_state_dict(state[name], strict=True)
        except (KeyError, IndexError, AttributeError, TypeError, RuntimeError) as error:
            raise MateError(
                f"the weights are not those of a T2M evaluator: {error}; expected the released finest.tar"
            ) from error
        self.width, self.space = movement[1] + CONTACTS, int(out)
        if glove.vectors.shape[1] != text[1]:
            raise MateError(
                f"got word vectors of width {glove.vectors.shape[1]}, expected {text[1]}; get the published glove files"
            )
        self.mean, self.std = (np.asarray(array, dtype=np.float64) for array in (mean, std))
        for array, name in ((self.mean, "mean"), (self.std, "std")):
            if (
                array.shape != (self.width,)
                or not np.isfinite(array).all()
                or (name == "std" and not (array > 0).all())
            ):
                raise MateError(
                    f"the evaluator's {name} has shape {array.shape} or values that normalise nothing, expected ({self.width},); "
                    "take mean.npy and std.npy that came with the checkpoint"
                )
        self.glove, self.files, self.device = glove, dict(files or {}), torch.device(device)
        for name in _PARTS:
            getattr(self, name).to(self.device).eval().requires_grad_(False)

    @classmethod
    def from_files(
        cls,
        folder: str | Path,
        glove: str | Path | None = None,
        mean: str | Path | None = None,
        std: str | Path | None = None,
        device: str = "cpu",
    ) -> "T2MEvaluator":
        """The released evaluator from where its files were put. Nothing from them is run.

        Args:
            folder: has `text_mot_match/model/finest.tar` (or is nearer to it), e.g. `checkpoints/t2m`.
            glove: the folder of the word vectors; by default `glove` in `folder` or up to two folders above.
            mean, std: `.npy` files; by default `Comp_v6*/meta/mean.npy` and `std.npy`, as the archives have them, or `t2m_mean.npy` and
                the like in `folder`.

        Raises:
            MateError: a file is missing, damaged, or holds anything but weights and numbers.
        """
        root = Path(folder)
        checkpoint = _first(root, _CHECKPOINTS, "the checkpoint")
        state = _read_checkpoint(checkpoint)
        if glove is None:
            glove = _first(root, _GLOVE, "the folder of word vectors (give it by itself)")
        kit = ("kit_", "t2m_") if _input_width(state) == 251 - CONTACTS else ("t2m_", "kit_")
        paths = {
            name: Path(given)
            if given
            else _first(root, ("Comp_v6*/meta/{}.npy", f"{kit[0]}{{}}.npy", "meta/{}.npy", "{}.npy"), name)
            for name, given in (("mean", mean), ("std", std))
        }
        arrays = {}
        for name, path in paths.items():
            try:
                arrays[name] = np.load(path, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise MateError(f"cannot read {path}: {error}; expected the evaluator's {name}.npy") from error
        words = load_glove(glove)
        hashes = {
            "finest.tar": sha256(checkpoint),
            **{name: sha256(path) for name, path in paths.items()},
            **words.files,
        }
        return cls(state, words, arrays["mean"], arrays["std"], hashes, device)

    @property
    def description(self) -> dict[str, Any]:
        """What a result card says of the evaluator: name, width, hashes, and which of them are the published ones.

        `published` is True or False for files whose published hash is known; the others are missing from it.
        """
        published = {name: self.files[name] in PUBLISHED[name] for name in PUBLISHED if name in self.files}
        return {"name": f"t2m-{self.width}", "width": self.width, "files": dict(self.files), "published": published}

    @torch.inference_mode()
    def embed_motions(self, features: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """(N, 512) float32, in the order of `features`.

        Args:
            features: (T, W) each, HumanML3D's numbers, not normalised; 4 to 196 frames. Of a length that is no multiple of 4 the rest at
                the end is not looked at.
            batch_size: changes the speed, not the result.

        Raises:
            MateError: another width, too short or too long, NaN or infinite values; the message says which motion.
        """
        for index, motion in enumerate(features):
            if motion.ndim != 2:
                raise MateError(f"motion {index}: got shape {motion.shape}, expected (frames, {self.width})")
            check_width(motion.shape[1], self.width)
            if not UNIT <= len(motion) < LONGEST + UNIT:
                raise MateError(
                    f"motion {index}: got {len(motion)} frames, expected {UNIT} to {LONGEST}; crop it first"
                )
            if not np.isfinite(motion).all():
                raise MateError(f"motion {index}: NaN or infinite features; repair it or leave it out")
        order = sorted(range(len(features)), key=lambda index: len(features[index]))
        result = np.empty((len(features), self.space), dtype=np.float32)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            lengths = torch.tensor([len(features[row]) // UNIT for row in rows])
            # The released code pads to 196 frames with zeros, which the last movement sees. One more unit of them is as good.
            frames = min(UNIT * (int(lengths.max()) + 1), LONGEST)
            batch = np.zeros((len(rows), frames, self.width - CONTACTS), dtype=np.float32)
            for place, row in enumerate(rows):
                kept = len(features[row]) // UNIT * UNIT
                batch[place, :kept] = ((features[row][:kept] - self.mean) / self.std)[:, :-CONTACTS]
            movements = self.movement_encoder(torch.from_numpy(batch).to(self.device))
            result[rows] = self.motion_encoder(movements, lengths).cpu().numpy()
        return result

    @torch.inference_mode()
    def embed_texts(self, tags: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """(N, 512) float32, in the order of `tags`.

        Args:
            tags: captions as `word/POS` pairs, the second field of a line of texts/*.txt. Words after the twentieth are not read.

        Raises:
            MateError: an empty caption, or a word without its part of speech; the message says which caption.
        """
        encoded = []
        for index, caption in enumerate(tags):
            try:
                pairs = caption.split()[:WORDS]
                encoded.append(self.glove.encode(" ".join(["sos/OTHER", *pairs, "eos/OTHER"] if pairs else [])))
            except MateError as error:
                raise MateError(f"caption {index}: {error}") from error
        result = np.empty((len(tags), self.space), dtype=np.float32)
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index][0]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            words = nn.utils.rnn.pad_sequence([torch.from_numpy(encoded[row][0]) for row in rows], batch_first=True)
            classes = nn.utils.rnn.pad_sequence([torch.from_numpy(encoded[row][1]) for row in rows], batch_first=True)
            lengths = torch.tensor([len(encoded[row][0]) for row in rows])
            result[rows] = self.text_encoder(words.to(self.device), lengths, classes.to(self.device)).cpu().numpy()
        return result


def _first(root: Path, patterns: Sequence[str], what: str) -> Path:
    """The first file or folder below `root` that is there."""
    if not root.is_dir():
        raise MateError(
            f"{root} is no folder; expected the one that has text_mot_match/model/finest.tar: see docs/evaluation.md"
        )
    for pattern in patterns:
        pattern = pattern.format(what)
        found = sorted(root.glob(pattern)) if "*" in pattern else [root / pattern]
        if found and found[0].exists():
            return found[0].resolve()
    looked = ", ".join(pattern.format(what) for pattern in patterns)
    raise MateError(f"{root}: cannot find {what}; looked for {looked}. Where to get it: docs/evaluation.md")


def _input_width(state: Mapping[str, Any]) -> int:
    try:
        return int(state["movement_encoder"]["main.0.weight"].shape[1])
    except (KeyError, TypeError, AttributeError, IndexError):
        return 0


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """The dictionary in a released checkpoint: tensors and numbers, nothing that runs."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # every way in which such a file can be broken has a kind of its own
        raise MateError(
            f"{path} is no checkpoint of plain weights ({type(error).__name__}); get the released file again"
        ) from error
    missing = [name for name in _PARTS if not isinstance(state, dict) or name not in state]
    if missing:
        raise MateError(f"{path} lacks {', '.join(missing)}; expected the released text_mot_match/model/finest.tar")
    return state
