"""Which joints a word rests on, beside controls: shares of the 22 joints against the joints that the word is about.

    element-of: is the joint with the greatest share one of the word's; where several share it, the share of them that is
    mass: the part of the shares that the word's joints have; where no joint has any, as for even shares

Controls: even shares; how fast each joint moves within the word's segment, in the room and about the pelvis; how much its normalised
features vary there (what the model's occlusion would give if every number counted alike), joint by joint and parts first as occlusion
counts; the word's own method without the prior; and
the shares of another word of its event that is about other joints (a method that only sees movement gives both words the same).
"""

from collections.abc import Iterator

import numpy as np
import torch

from mate.align.aligner import Aligner
from mate.align.grounding import (
    PARTS,
    JointMethod,
    held_still,
    joint_of_feature,
    joint_shares,
    parts_first,
    word_queries,
)
from mate.evaluate.grounding import Segmentation, priors
from mate.evaluate.grounding_truth import KnownClip, KnownWord
from mate.motion.features import LAYOUT

JOINT_FIGURES = ("element_of", "mass")


def share_figures(shares: np.ndarray, joints: tuple[int, ...]) -> np.ndarray:
    """Element-of and mass of shares (J,) >= 0 for the true joints, (2,)."""
    shares = np.asarray(shares, dtype=np.float64)
    true = np.zeros(len(shares), dtype=bool)
    true[list(joints)] = True
    if shares.sum() <= 0:
        return np.full(2, true.mean())
    top = shares >= shares.max() * (1 - 1e-6)
    return np.array([(top & true).sum() / top.sum(), shares[true].sum() / shares.sum()])


def movement(joints: np.ndarray, start: int, end: int, about_pelvis: bool) -> np.ndarray:
    """(J,) the mean speed of each joint of (T, J, 3) in the frames start..end."""
    part = joints[max(0, min(start, len(joints) - 2)) : max(end, start + 2)]
    part = part - part[:, :1] if about_pelvis else part
    return np.linalg.norm(np.diff(part, axis=0), axis=-1).mean(0)


def variation(features: torch.Tensor, still: torch.Tensor, by_parts: bool) -> np.ndarray:
    """(J,) how far each joint's normalised features (T, 263) are from those held still, mean square; `by_parts` as occlusion counts."""
    owner = joint_of_feature()
    moved = (features - still).square().mean(0).float().cpu().numpy()
    own = np.bincount(owner, moved, LAYOUT.joints) / np.bincount(owner, minlength=LAYOUT.joints)
    if not by_parts:
        return own
    joints = torch.from_numpy(own)
    return parts_first(joints, torch.stack([joints[list(part)].sum() for part in PARTS])).numpy()


def rivals(clip: KnownClip, word: KnownWord) -> list[KnownWord]:
    """The words of the same event that are about other joints."""
    return [other for other in clip.words if other.event == word.event and other.joints and other.joints != word.joints]


def joint_figures(
    aligner: Aligner, clip: KnownClip, segments: Segmentation, method: JointMethod
) -> Iterator[tuple[KnownWord, dict[str, np.ndarray]]]:
    """For every word of the clip whose joints are known: by reader its `share_figures`."""
    words = [word for word in clip.words if word.joints]
    if not words or method == "none":
        return
    stride = aligner.config.stride
    places = [word.index for word in words]
    spans = segments.spans(clip.caption)[places]
    frames = [(int(start) * stride, int(end) * stride) for start, end in spans]
    features, mask = aligner.pad([clip.features])
    queries = word_queries(aligner, [clip.caption])[:, places]
    hint = priors(aligner, spans, int(segments.units[-1])).unsqueeze(0)
    shares = {
        method: joint_shares(aligner, queries, hint, features, mask, frames, method, aligner.config.omega),
        f"{method}, omega = 0": joint_shares(aligner, queries, hint, features, mask, frames, method, 0.0),
    }
    for n, (word, (start, end)) in enumerate(zip(words, frames, strict=True)):
        found = {name: rows[n] for name, rows in shares.items()}
        found["control: even"] = np.ones(LAYOUT.joints)
        found["control: speed in the room"] = movement(clip.joints, start, end, about_pelvis=False)
        found["control: speed about the pelvis"] = movement(clip.joints, start, end, about_pelvis=True)
        still = held_still(features, start, end, aligner.normalize(torch.zeros_like(features[0, 0])))
        for title, by_parts in (("", False), (", parts first", True)):
            found[f"control: variation of its features{title}"] = variation(features[0], still[0], by_parts)
        others = rivals(clip, word)
        if others:
            other = words.index(others[word.index % len(others)])
            found["control: another word of its event"] = shares[method][other]
        yield word, {name: share_figures(row, word.joints) for name, row in found.items()}
