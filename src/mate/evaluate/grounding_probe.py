"""The grounding probe: are words, sub-texts and body parts found where they are? A card with intervals, and controls beside every figure.

    frames      every word's attention without a prior (omega = 0: with it the prior would measure itself), and with it
    boundaries  the segmentation by our own splitter's sub-texts
    joints      the joints that a word rests on, where the truth is known (kinwords)

Intervals: 95 %, percentiles of a bootstrap over motions; the captions and words of one motion stay together.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mate.align.aligner import Aligner
from mate.align.grounding import JointMethod, over_frames
from mate.errors import MateError
from mate.evaluate.card import table, versions
from mate.evaluate.grounding import (
    FRAME_FIGURES,
    Segmentation,
    boundary_errors,
    even_cuts,
    frame_figures,
    joint_speed,
    priors,
    random_cuts,
    seams,
    segmentations,
    to_units,
    with_boundaries,
    word_attention,
)
from mate.evaluate.grounding_joints import JOINT_FIGURES, joint_figures, rivals
from mate.evaluate.grounding_truth import KnownClip, KnownWord, manner_words

PROTOCOL = "mate-grounding-1"
WITHIN = 0.35  # seconds
RESAMPLES = 1000
UNEVEN = 2.0  # the longest event of a clip against its shortest
LEAST = 10  # words of one spelling for a row of its own

READERS = {
    "attention": "attention, omega = 0",
    "hinted": "attention with the prior",
    "even": "control: even over the whole sequence",
    "other": "control: another event's word, omega = 0",
    "prior": "control: the prior alone",
    "uniform": "control: the prior alone, uniform segments",
    "seams": "control: the prior alone, segments of the seam detector",
    "speed": "control: speed of the joints",
}
CUTTERS = {
    "segments": "segmentation, our splitter",
    "uniform": "control: uniform segments",
    "seams": "control: seam detector",
    "random": "control: random",
}
SHORT = "shorter than the sub-text"  # the group of words of which that is known: of kinwords
CONTROLS = ("even", "other", "prior", "uniform", "seams", "speed")


@dataclass
class Column:
    """Values with the number of the motion that each is of, and the groups that it counts in."""

    values: list[np.ndarray] = field(default_factory=list)
    motions: list[int] = field(default_factory=list)
    groups: list[frozenset[str]] = field(default_factory=list)

    def add(self, value: Any, motion: int, groups: frozenset[str]) -> None:
        """One value, a number or several."""
        self.values.append(np.atleast_1d(np.asarray(value, dtype=np.float64)))
        self.motions.append(motion)
        self.groups.append(groups)

    def of(self, group: str) -> tuple[np.ndarray, np.ndarray]:
        """The values (n, F) and motions (n,) of a group."""
        chosen = [n for n, own in enumerate(self.groups) if group in own]
        return np.array([self.values[n] for n in chosen]), np.array([self.motions[n] for n in chosen], dtype=np.int64)


@dataclass(frozen=True)
class Bootstrap:
    """How often each of M motions is drawn in each of R resamples: counts (R, M)."""

    counts: np.ndarray

    @classmethod
    def over(cls, motions: int, seed: int, resamples: int = RESAMPLES) -> "Bootstrap":
        """`motions` draws out of as many, `resamples` times."""
        rng = np.random.default_rng([seed, motions])
        return cls(rng.multinomial(motions, np.full(motions, 1 / motions), size=resamples).astype(np.float64))

    def mean(self, values: np.ndarray, motions: np.ndarray) -> dict[str, float]:
        """The mean of values (n,) with its interval."""
        size = self.counts.shape[1]
        sums, numbers = np.bincount(motions, values, size), np.bincount(motions, minlength=size)
        drawn = self.counts @ numbers
        return _row(float(values.mean()), (self.counts @ sums)[drawn > 0] / drawn[drawn > 0])

    def median(self, values: np.ndarray, motions: np.ndarray) -> dict[str, float]:
        """The median of values (n,) with its interval."""
        order = np.argsort(values, kind="stable")
        weight = np.cumsum(self.counts[:, motions[order]], axis=1)
        drawn = weight[weight[:, -1] > 0]
        middle = (drawn < drawn[:, -1:] / 2).sum(1)
        return _row(float(np.median(values)), values[order][middle])


def _row(value: float, resampled: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(resampled, [2.5, 97.5]) if len(resampled) else (np.nan, np.nan)
    return {"value": value, "low": float(low), "high": float(high)}


@dataclass
class Measured:
    """What was measured of some clips: by reader or cutter, a column each."""

    frames: dict[str, Column] = field(default_factory=lambda: {name: Column() for name in READERS})
    boundaries: dict[str, Column] = field(default_factory=lambda: {name: Column() for name in CUTTERS})
    joints: dict[str, Column] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)  # of every row of frames["attention"]
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("captions", "exact", "more", "fewer"), 0))


def measure(
    aligner: Aligner,
    clips: Sequence[KnownClip],
    seed: int = 0,
    joints: JointMethod = "none",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Measures frames and boundaries, and joints where asked for, of clips whose truth is known.

    Args:
        seed: of the random cuts.
        progress: called with (clips measured, clips in all).
    """
    found = Measured()
    by_motion: dict[str, list[int]] = {}
    for n, clip in enumerate(clips):
        by_motion.setdefault(clip.name, []).append(n)
    motions, captions = [clip.features for clip in clips], [clip.caption for clip in clips]
    free = word_attention(aligner, motions, captions)
    done = 0
    for motion, (name, numbers) in enumerate(by_motion.items()):
        own = [clips[n] for n in numbers]
        cut = segmentations(aligner, own[0].features, [clip.caption for clip in own])
        spans = [segments.spans(clip.caption) for segments, clip in zip(cut, own, strict=True)]
        hinted = word_attention(aligner, [clip.features for clip in own], [clip.caption for clip in own], spans)
        rng = np.random.default_rng([seed, *name.encode()])
        for n, clip, segments, guided in zip(numbers, own, cut, hinted, strict=True):
            _frames(found, aligner, clip, segments, free[n], guided, motion)
            _boundaries(found, aligner, clip, segments, rng, motion)
            if joints != "none":
                for word, row in joint_figures(aligner, clip, segments, joints):
                    for reader, figures in row.items():
                        found.joints.setdefault(reader, Column()).add(figures, motion, _joint_groups(clip, word))
            done += 1
            progress(done, len(clips))
    return found


def _events(clip: KnownClip) -> np.ndarray:
    """The lengths of a clip's events, in seconds."""
    edges = [0.0, *(sum(span) / 2 for span in clip.boundaries), len(clip.features) / clip.fps]
    return np.diff(edges)


def _groups(clip: KnownClip) -> set[str]:
    lengths = _events(clip)
    uneven = len(lengths) > 1 and lengths.max() >= UNEVEN * lengths.min()
    return {
        "all",
        f"{clip.wording} wording",
        "several events" if clip.boundaries else "one event",
        *(["uneven events"] if uneven else []),
    }


def _joint_groups(clip: KnownClip, word: KnownWord) -> frozenset[str]:
    several = {"events of several parts"} if rivals(clip, word) else set()
    return frozenset({"all", "whole body" if len(word.joints) > 20 else "part of the body"} | several)


def _frames(
    found: Measured,
    aligner: Aligner,
    clip: KnownClip,
    segments: Segmentation,
    free: np.ndarray,
    guided: np.ndarray,
    motion: int,
) -> None:
    stride, fps, frames = aligner.config.stride, clip.fps, len(clip.features)
    units = int(segments.units[-1])

    def alone(cut: Segmentation) -> np.ndarray:
        return over_frames(priors(aligner, cut.spans(clip.caption), units), stride, frames)

    def at(cuts: np.ndarray) -> Segmentation:
        return with_boundaries(segments, to_units(cuts, units, stride, fps))

    count = segments.count - 1
    own, even = alone(segments), alone(at(even_cuts(units, count, stride, fps)))
    seam, speed = alone(at(seams(clip.joints, count, fps))), joint_speed(clip.joints, frames)
    base = _groups(clip)
    for word in clip.words:
        weights = {
            "attention": free[word.index],
            "hinted": guided[word.index],
            "even": np.ones(frames),
            "speed": speed,
        }
        if aligner.config.prior != "none":
            weights |= {"prior": own[word.index], "uniform": even[word.index], "seams": seam[word.index]}
        others = [other for other in clip.words if other.event != word.event and other.text != word.text]
        if others:
            weights["other"] = free[others[word.index % len(others)].index]
        groups = frozenset(base | {"said once" if word.once else "said in several events"}
                           | ({SHORT} if word.short else set())
                           | {"words for a manner" if word.text in manner_words() else "other words"})  # fmt: skip
        found.words.append(word.text)
        for reader, weight in weights.items():
            found.frames[reader].add(frame_figures(weight, word.start, word.end), motion, groups)


def _boundaries(
    found: Measured,
    aligner: Aligner,
    clip: KnownClip,
    segments: Segmentation,
    rng: np.random.Generator,
    motion: int,
) -> None:
    """Every control cuts as often as the splitter found sub-texts."""
    extra = segments.count - 1 - len(clip.boundaries)
    found.counts["captions"] += 1
    found.counts["exact" if extra == 0 else "more" if extra > 0 else "fewer"] += 1
    if not clip.boundaries:
        return
    stride, count, seconds = aligner.config.stride, segments.count - 1, len(clip.features) / clip.fps
    cuts = {
        "segments": segments.seconds(stride, clip.fps),
        "uniform": even_cuts(int(segments.units[-1]), count, stride, clip.fps),
        "seams": seams(clip.joints, count, clip.fps),
        "random": random_cuts(seconds, count, rng),
    }
    groups = frozenset(_groups(clip) | {"as many sub-texts as events" if extra == 0 else "another number of sub-texts"})
    for cutter, times in cuts.items():
        for error in boundary_errors(times, clip.boundaries, seconds):
            found.boundaries[cutter].add(error, motion, groups)


# ---------------------------------------------------------------------- the card


def grounding_card(found: Measured, clips: Sequence[KnownClip], seed: int = 0) -> dict[str, Any]:
    """The figures of `measure`, with intervals.

    Raises:
        MateError: nothing was measured.
    """
    if not found.words:
        raise MateError("no word of these clips has known frames; give a joined set or kinwords")
    sampler = Bootstrap.over(len({clip.name for clip in clips}), seed)
    return {
        "protocol": PROTOCOL,
        "motions": sampler.counts.shape[1],
        "captions": len(clips),
        "captions_without_known_words": sum(not clip.words for clip in clips),
        "splitter": found.counts,
        "frames": _frame_rows(found, sampler),
        "by_word": _by_word(found),
        "boundaries": _boundary_rows(found, sampler),
        "joints": _joint_rows(found, sampler),
        "interval": f"95 %, {len(sampler.counts)} resamples of motions, seed {seed}",
        "versions": versions(),
    }


def _names(columns: Mapping[str, Column]) -> list[str]:
    """All, then the groups that hold a part of it, in order of their names."""
    sizes = Counter(group for column in columns.values() for own in column.groups for group in own)
    return sorted(
        (group for group in sizes if group == "all" or sizes[group] < sizes["all"]),
        key=lambda name: (name != "all", name),
    )


def _frame_rows(found: Measured, sampler: Bootstrap) -> list[dict[str, Any]]:
    rows = []
    for group in _names(found.frames):
        main, own = found.frames["attention"].of(group)
        for reader, title in READERS.items():
            values, motions = found.frames[reader].of(group)
            if len(values) == 0:
                continue
            figures = {name: sampler.mean(values[:, n], motions) for n, name in enumerate(FRAME_FIGURES)}
            row = {"group": group, "reader": reader, "title": title, "words": len(values), **figures}
            if reader in CONTROLS and len(values) == len(main):  # paired, word by word
                row["attention_ahead"] = sampler.mean(main[:, 0] - values[:, 0], own)
            rows.append(row)
    return rows


def _boundary_rows(found: Measured, sampler: Bootstrap) -> list[dict[str, Any]]:
    rows = []
    for group in _names(found.boundaries):
        for cutter, title in CUTTERS.items():
            values, motions = found.boundaries[cutter].of(group)
            errors = values[:, 0]
            rows.append(
                {
                    "group": group,
                    "cutter": cutter,
                    "title": title,
                    "boundaries": len(errors),
                    "median": sampler.median(errors, motions),
                    "mean": sampler.mean(errors, motions),
                    "within": sampler.mean((errors <= WITHIN + 1e-9).astype(np.float64), motions),
                }
            )
    return rows


def _joint_rows(found: Measured, sampler: Bootstrap) -> list[dict[str, Any]]:
    rows = []
    for group in _names(found.joints):
        for reader, column in found.joints.items():
            values, motions = column.of(group)
            if len(values):
                figures = {name: sampler.mean(values[:, n], motions) for n, name in enumerate(JOINT_FIGURES)}
                rows.append({"group": group, "title": reader, "words": len(values), **figures})
    return rows


def _by_word(found: Measured) -> list[dict[str, Any]]:
    """Words that occur often enough: element-of without a prior, and the share of true frames; the most frequent first."""
    rows = []
    texts = np.array(found.words)
    main, even = (np.array(found.frames[reader].values)[:, 0] for reader in ("attention", "even"))
    for word, count in zip(*np.unique(texts, return_counts=True), strict=True):
        if count >= LEAST:
            own = texts == word
            found_in, share = float(main[own].mean()), float(even[own].mean())
            rows.append({"word": str(word), "n": int(count), "element_of": found_in, "even": share})
    return sorted(rows, key=lambda row: (-row["n"], row["word"]))


def _show(figure: Mapping[str, float], digits: int = 3) -> str:
    return f"{figure['value']:.{digits}f} [{figure['low']:.{digits}f}, {figure['high']:.{digits}f}]"


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    lines = [*_tables(card)]
    if "continuous" in card:
        lines += ["## Recordings that are continuous by nature", "", *_tables(card["continuous"])]
    return "\n".join(lines)


def _tables(card: Mapping[str, Any]) -> list[str]:
    split = card["splitter"]
    lines = [
        f"Protocol `{card['protocol']}`: {card['motions']} motions, {card['captions']} captions; intervals {card['interval']}. The "
        f"splitter finds as many sub-texts as there are events in {split['exact']} of {split['captions']} captions, more in "
        f"{split['more']}, fewer in {split['fewer']}.",
        "",
    ]
    parts = (
        ("frames", "words", FRAME_FIGURES, ("element-of", "soft IoU", "mass")),
        ("boundaries", "boundaries", ("median", "mean", "within"), ("median error, s", "mean error, s", f"within {WITHIN} s")),
        ("joints", "words", JOINT_FIGURES, ("element-of", "mass")),
    )  # fmt: skip
    for part, counted, figures, heads in parts:
        for group in dict.fromkeys(row["group"] for row in card[part]):
            own = [row for row in card[part] if row["group"] == group]
            lines += [f"**{part.capitalize()}, {group}** ({own[0][counted]} {counted})", ""]
            body = [[row["title"], *(_show(row[name]) for name in figures)] for row in own]
            lines += [*table(["found by", *heads], body), ""]
    return lines
