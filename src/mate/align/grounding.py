"""Where in a motion each word of a text is: its attention over the frames, and the joints that it rests on.

Frames: the guided attention of `mate.align.localization`, averaged over heads. omega = 0 shows what attention finds without
the hint from the segmentation.
Joints (ours; the paper has none): how much of what the word reads in the motion depends on each joint's movement. A joint is
held still by giving its numbers their mean over the word's segment: that stays near real motion, where the mean pose of the
training data does not. The pelvis neither travels nor turns then: whoever walks or turns evenly moves, too.

    occlusion: how far f^m_w turns, 1 - cos, when joints are held still. Joints of one part of the body say the same: with one leg's
        knee held still its foot still tells of the step. So parts are held still as a whole, and a joint gets its part's
        change, lessened by how its own change compares with that of the part's strongest joint
    gradient: of the word's agreement with the motion, cos(Proj(WE(w)), f^m_w): integrated gradients (Sundararajan et al. 2017) from all
        joints held still to the motion, summed over the joint's numbers

Both are magnitudes: a joint may speak for a word or against it. A joint that does not move gets nothing.

Shapes: T frames, U latent units, W words, J = 22 joints.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mate.align.aligner import Aligner
from mate.align.localization import prior
from mate.data.captions import words as words_in
from mate.errors import MateError
from mate.motion.features import LAYOUT
from mate.motion.skeleton import HUMANML3D, LEFT_FOOT, RIGHT_FOOT
from mate.text.encoder import word_matrix
from mate.text.subtexts import SubText, split, standalone, words_of
from mate.text.vocabulary import is_motion_word

JointMethod = Literal["occlusion", "gradient", "none"]
GRADIENT_STEPS = 16
NOISE = 1e-6  # of a cosine: what rounding alone makes
NOISE_TURN = 1e-5  # of the distance between two vectors of length 1
# Pelvis and legs, trunk, head, left arm, right arm: both legs together carry every gait.
PARTS = ((0, 1, 2, 4, 5, 7, 8, 10, 11), (3, 6, 9), (12, 15), (13, 16, 18, 20), (14, 17, 19, 21))
_FIRST = LAYOUT.velocities.start
_PELVIS_VELOCITY = [0, 1, 2, _FIRST, _FIRST + 1, _FIRST + 2]  # turning, travelling, and its step as a joint


@dataclass(frozen=True)
class GroundedSegment:
    """The part of a motion that belongs to a sub-text, or to several where the motion is too short to tell them apart.

    Attributes:
        texts: the sub-texts. start, end: seconds. cosine: of the sub-text and its segment.
    """

    texts: tuple[str, ...]
    start: float
    end: float
    cosine: float


@dataclass(frozen=True)
class GroundedWord:
    """One word of a text in a motion.

    Attributes:
        text: in lower case. start, end: its characters in the text.
        motion_word: whether it may say something about movement.
        segment: the number of its segment, -1 for a word between sub-texts ("then").
        attention: (T,) float32, its weight on every frame, summing to 1.
        joints: (J,) float32, each joint's share, summing to 1; all zero where none matters. None if not asked for.
        agreement: cos(Proj(WE(w)), f^m_w).
        prior: (T,) float32 in [0, 1], the hint from the segmentation, before it is scaled by omega.
    """

    text: str
    start: int
    end: int
    motion_word: bool
    segment: int
    attention: np.ndarray
    joints: np.ndarray | None
    agreement: float
    prior: np.ndarray | None = None

    def top_joints(self, count: int = 3) -> list[tuple[str, float]]:
        """The names of the joints with the largest shares, largest first; those without a share are left out."""
        if self.joints is None:
            return []
        order = np.argsort(-self.joints, kind="stable")[:count]
        return [(HUMANML3D.joint_names[j], float(self.joints[j])) for j in order if self.joints[j] > 0]


@dataclass(frozen=True)
class Grounding:
    """The words of a text in a motion.

    Attributes:
        omega: the strength of the hint from the segmentation that the attention was given.
        joint_method: how the joints' shares were found.
    """

    text: str
    fps: float
    frames: int
    omega: float
    joint_method: JointMethod
    segments: tuple[GroundedSegment, ...]
    words: tuple[GroundedWord, ...]

    def peak(self, word: GroundedWord) -> float:
        """The time, in seconds, at which a word's attention is greatest: the middle of the frames that share it."""
        top = np.flatnonzero(word.attention >= word.attention.max() * (1 - 1e-6))
        return float((top[0] + top[-1] + 1) / 2 / self.fps)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and names, for `json.dumps`."""
        return {
            "text": self.text,
            "fps": self.fps,
            "frames": self.frames,
            "seconds": round(self.frames / self.fps, 3),
            "omega": self.omega,
            "joint_method": self.joint_method,
            "segments": [
                {
                    "sub_texts": list(part.texts),
                    "start": round(part.start, 3),
                    "end": round(part.end, 3),
                    "cosine": round(part.cosine, 4),
                }
                for part in self.segments
            ],
            "words": [self._word(word) for word in self.words],
        }

    def _word(self, word: GroundedWord) -> dict[str, Any]:
        shares = None if word.joints is None else [round(float(share), 4) for share in word.joints]
        return {
            "word": word.text,
            "characters": [word.start, word.end],
            "motion_word": word.motion_word,
            "segment": word.segment,
            "agreement": round(word.agreement, 4),
            "peak": round(self.peak(word), 3),
            "attention": [round(float(weight), 6) for weight in word.attention],
            "joints": None if shares is None else dict(zip(HUMANML3D.joint_names, shares, strict=True)),
        }


def ground(
    aligner: Aligner,
    motion: np.ndarray,
    text: str,
    omega: float | None = None,
    joints: JointMethod = "occlusion",
    splitter: Callable[[str], Sequence[SubText]] = split,
) -> Grounding:
    """Finds the words of a text in a motion.

    Args:
        motion: raw features (T, 263) at the model's frame rate.
        omega: the strength of the localization prior; the model's own by default, 0 for none.
        joints: how to find the joints of a word, see the module's docstring.
        splitter: what cuts the text into sub-texts.

    Raises:
        MateError: an empty text or one without words, a motion of another shape, an omega below 0, an unknown joint method.
    """
    if joints not in get_args(JointMethod):
        raise MateError(f"got the joint method {joints!r}, expected one of {', '.join(get_args(JointMethod))}")
    omega = aligner.config.omega if omega is None else omega
    if not np.isfinite(omega) or omega < 0:
        raise MateError(f"got omega {omega:g}, expected 0 or more")
    parts, spoken = splitter(text), words_in(text)
    if not spoken:
        raise MateError(f"found no words in {text!r}; write what the motion should be, such as 'a person walks'")
    features, mask = aligner.pad([motion])
    stride, fps, frames = aligner.config.stride, aligner.config.fps, len(motion)
    units = max(1, frames // stride)
    bounds, segments, place = _segments(aligner, motion, text, parts)
    own = [place[part] if part >= 0 else -1 for part in words_of(parts, spoken)]
    # A word between sub-texts has no segment: the whole motion, as in training.
    start = torch.tensor([float(bounds[n]) if n >= 0 else 0.0 for n in own])
    end = torch.tensor([float(bounds[n + 1]) if n >= 0 else float(units) for n in own])
    hint = prior(start, end, units, aligner.config.prior).to(aligner.device).unsqueeze(0)
    reader = _Reader(aligner, word_queries(aligner, [text]), hint, mask, omega)
    with torch.no_grad():
        agreement, attention = reader(features)
    spans = [(int(a) * stride, int(b) * stride) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
    shares = None if joints == "none" else _joint_shares(reader, features, spans, joints)
    weights = over_frames(attention[0], stride, frames)
    hints = hint[0].repeat_interleave(stride, -1)[:, :frames]
    hints = F.pad(hints, (0, frames - hints.shape[1])).float().cpu().numpy()
    found = tuple(
        GroundedWord(
            word.text,
            word.start,
            word.end,
            is_motion_word(word.text),
            own[n],
            weights[n],
            None if shares is None else shares[n],
            float(agreement[0, n]),
            hints[n],
        )
        for n, word in enumerate(spoken)
    )
    return Grounding(text, fps, frames, float(omega), joints, segments, found)


def _segments(
    aligner: Aligner, motion: np.ndarray, text: str, parts: Sequence[SubText]
) -> tuple[np.ndarray, tuple[GroundedSegment, ...], list[int]]:
    """Boundaries in latent units, the segments, and for every sub-text the number of its segment."""
    stride, fps = aligner.config.stride, aligner.config.fps
    if len(parts) > 1:
        bounds, cosines, groups = aligner.segments(motion, [standalone(text, parts)])[0]
    else:
        bounds = np.array([0, max(1, len(motion) // stride)])
        cosines = (aligner.encode_text([text]) @ aligner.encode_motion([motion]).T)[0].cpu().numpy()
        groups = [[0]]
    seconds = np.minimum(bounds * stride, len(motion)) / fps
    seconds[-1] = len(motion) / fps
    place = [next(n for n, group in enumerate(groups) if part in group) for part in range(len(parts))]
    segments = tuple(
        GroundedSegment(
            tuple(parts[part].text for part in group), float(seconds[n]), float(seconds[n + 1]), float(cosines[n])
        )
        for n, group in enumerate(groups)
    )
    return bounds, segments, place


@torch.no_grad()
def word_queries(aligner: Aligner, texts: Sequence[str]) -> Tensor:
    """Proj(WE(w)) of the words of texts, (B, W, D), padded behind a text's last word: WE is the mean of the word's pieces' rows.

    Raises:
        MateError: an empty text, or one that is too long for the language model.
    """
    encoder = aligner.text_encoder
    tokens = encoder.tokenize(texts)
    average = word_matrix(tokens.offsets, [words_in(text) for text in texts]).to(tokens.ids.device)
    rows = encoder.embeddings(tokens.ids)  # (B, L, D_e)
    return aligner.word((average.to(rows.dtype) @ rows).to(aligner.device))


def read_words(
    aligner: Aligner, features: Tensor, mask: Tensor, queries: Tensor, hint: Tensor, omega: float
) -> tuple[Tensor, Tensor]:
    """Reads words in motions: the features f^m_w (B, W, D) and the attention over latent units (B, W, U), the mean of its heads.

    Args:
        features: (B, T, 263), normalised. mask: (B, T). queries: (B, W, D). hint: the prior, (B, W, U).
        omega: its strength; the model's own stays as it is.
    """
    attention = copy.copy(aligner.attention)  # shares the weights
    attention.omega = omega
    _, frames, valid = aligner.motion(features, mask)
    read, weights = attention(queries, frames, valid, hint)
    return read, weights.mean(1)


def over_frames(weights: Tensor, stride: int, frames: int) -> np.ndarray:
    """Attention over latent units (W, U) as attention over frames (W, T) float32, rows summing to 1.

    A unit's frames share its weight; frames beyond the last whole unit are not read and get none.
    """
    spread = weights.repeat_interleave(stride, -1)[:, :frames]
    spread = F.pad(spread, (0, frames - spread.shape[1]))
    return (spread / spread.sum(-1, keepdim=True)).float().cpu().numpy()


class _Reader:
    """Reads the words in variants of one motion: agreement (B, W) and attention over its units (B, W, U)."""

    def __init__(self, aligner: Aligner, queries: Tensor, hint: Tensor, mask: Tensor, omega: float) -> None:
        self.aligner, self.queries, self.hint, self.mask, self.omega = aligner, queries, hint, mask, omega
        self.rest = aligner.normalize(torch.zeros(LAYOUT.dim, device=aligner.device))

    def only(self, words: Sequence[int]) -> "_Reader":
        """The same for some of the words."""
        reader = copy.copy(self)
        reader.queries, reader.hint = self.queries[:, list(words)], self.hint[:, list(words)]
        return reader

    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, T, 263), normalised."""
        read, weights = self.read(features)
        return F.cosine_similarity(self.queries.float(), read.float(), dim=-1), weights

    def read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """f^m_w (B, W, D) and the attention (B, W, U) of features (B, T, 263), normalised."""
        batch = len(features)
        queries, hint = (part.expand(batch, -1, -1) for part in (self.queries, self.hint))
        return read_words(self.aligner, features, self.mask.expand(batch, -1), queries, hint, self.omega)


def joint_of_feature() -> np.ndarray:
    """(263,) int64: the joint that each number of a frame's features belongs to; the root's own numbers to the pelvis."""
    owner = np.zeros(LAYOUT.dim, dtype=np.int64)
    others = np.arange(1, LAYOUT.joints)
    owner[LAYOUT.positions] = np.repeat(others, 3)
    owner[LAYOUT.rotations] = np.repeat(others, 6)
    owner[LAYOUT.velocities] = np.repeat(np.arange(LAYOUT.joints), 3)
    owner[LAYOUT.contacts] = [*LEFT_FOOT, *RIGHT_FOOT]
    return owner


def held_still(features: Tensor, start: int, end: int, rest: Tensor) -> Tensor:
    """The motion (1, T, 263) with every number at its mean over the frames start..end, in those frames, and the pelvis at rest.

    Args:
        rest: (263,) numbers of no velocity, normalised as the motion is.
    """
    still = features.clone()
    still[:, start:end] = features[:, start:end].mean(1, keepdim=True)
    still[:, start:end, _PELVIS_VELOCITY] = rest[_PELVIS_VELOCITY]
    return still


def parts_first(joints: Tensor, parts: Tensor) -> Tensor:
    """What each joint counts, (J, ...): its part's amount, lessened by how its own compares with that of the part's strongest joint.

    Args:
        joints: (J, ...) amounts >= 0 of each joint alone. parts: (5, ...) of the parts of the body as wholes (`PARTS`).
    """
    counts = torch.zeros_like(joints)
    for part, together in zip(PARTS, parts, strict=True):
        own = joints[list(part)]
        counts[list(part)] = together * own / own.amax(0).clamp(min=1e-12)
    return counts


@torch.no_grad()
def _occlusion(reader: _Reader, features: Tensor, start: int, end: int) -> Tensor:
    """(J, W): how far what is read turns without each joint's movement in the frames start..end, its part's change included."""
    owner = torch.from_numpy(joint_of_feature()).to(features.device)
    alone = torch.eye(LAYOUT.joints, dtype=torch.bool, device=features.device)
    whole = torch.stack([alone[list(part)].any(0) for part in PARTS])
    hidden = torch.cat([alone, whole])[:, owner]  # (J + parts, 263)
    without = torch.where(hidden[:, None], held_still(features, start, end, reader.rest), features)
    read, _ = reader.read(torch.cat([features, without]))  # one batch: rounding is alike
    read = F.normalize(read.float(), dim=-1)
    distance = (read[1:] - read[:1]).norm(dim=-1)  # of vectors of length 1: 1 - cos is half its square
    change = torch.where(distance < NOISE_TURN, 0.0, distance.square() / 2)
    return parts_first(change[: LAYOUT.joints], change[LAYOUT.joints :])


def _gradient(reader: _Reader, features: Tensor, start: int, end: int) -> Tensor:
    """(J, W): integrated gradients along the way from the frames start..end held still to the motion."""
    owner = torch.from_numpy(joint_of_feature()).to(features.device)
    steps = (torch.arange(GRADIENT_STEPS, device=features.device) + 0.5) / GRADIENT_STEPS
    still = held_still(features, start, end, reader.rest)
    path = (still + steps[:, None, None] * (features - still)).requires_grad_()
    agreement, _ = reader(path)
    rows = []
    for word in range(agreement.shape[1]):
        (slope,) = torch.autograd.grad(agreement[:, word].sum(), path, retain_graph=True)
        parts = (slope.mean(0) * (features - still)[0]).sum(0)  # (263,)
        rows.append(torch.zeros(LAYOUT.joints, device=features.device).index_add_(0, owner, parts.float()))
    found = torch.stack(rows, dim=1)
    return torch.where(found.abs() < NOISE, 0.0, found)


def joint_shares(
    aligner: Aligner,
    queries: Tensor,
    hint: Tensor,
    features: Tensor,
    mask: Tensor,
    spans: Sequence[tuple[int, int]],
    method: Literal["occlusion", "gradient"],
    omega: float,
) -> np.ndarray:
    """The joints that words rest on in one motion.

    Args:
        queries: (1, W, D), see `word_queries`. hint: the prior, (1, W, U). features: (1, T, 263), normalised. mask: (1, T).
        spans: of every word the frames of its segment.

    Returns:
        (W, J) float32 shares; rows sum to 1, or to 0 where no joint matters.
    """
    return _joint_shares(_Reader(aligner, queries, hint, mask, omega), features, spans, method)


def _joint_shares(
    reader: _Reader, features: Tensor, spans: Sequence[tuple[int, int]], method: Literal["occlusion", "gradient"]
) -> np.ndarray:
    """(W, J) shares, for words whose segments are the frames of `spans`; rows sum to 1, or to 0 where no joint matters."""
    found = _occlusion if method == "occlusion" else _gradient
    changes = np.zeros((len(spans), LAYOUT.joints), dtype=np.float32)
    for span in sorted(set(spans)):
        chosen = [n for n, own in enumerate(spans) if own == span]
        changes[chosen] = found(reader.only(chosen), features, *span).T.abs().float().cpu().numpy()
    total = changes.sum(-1, keepdims=True)
    return np.divide(changes, total, out=np.zeros_like(changes), where=total > 0)
