"""The protocols by name, from clips and motions to figures.

    own              ours: whole clips, first captions, nothing drawn; what shows the same is no wrong answer
    guo-fixed        the comparisons of text-to-motion papers without their chance (`mate.evaluate.t2m_protocol`)
    guo-as-released  those comparisons as the released code makes them: captions, crops, pools and pairs are drawn, incomplete pools dropped

Shapes: N samples, E width of an evaluator's space, R repeats.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mate.data.dataset import Caption
from mate.errors import MateError
from mate.evaluate import t2m_protocol
from mate.evaluate.evaluators import Evaluator
from mate.evaluate.gather import gather_rows, share
from mate.evaluate.metrics import (
    Gaussian,
    diversity,
    frechet,
    gaussian,
    interval,
    mm_dist,
    multimodality,
    precision_recall_density_coverage,
    r_precision_by_sample,
)
from mate.evaluate.subjects import Clip, Made, Span

OWN = "own"
NAMES = (OWN, *t2m_protocol.PROTOCOLS)
SHORTEST, LONGEST = 1.0, 9.8  # seconds that `own` evaluates: longer clips are cut, shorter ones left out
POOL, TOP, NEIGHBOURS = 32, 3, 5
FOLDS = 20  # parts for the interval over prompts
PAIRED = (*(f"R@{top}" for top in range(1, TOP + 1)), "MM-Dist")  # figures that every sample has
# Larger is better, smaller is better, or neither: as near to the real row as possible.
BETTER: dict[str, int] = {
    **{f"R@{top}": 1 for top in range(1, TOP + 1)},
    **dict.fromkeys(("precision", "recall", "density", "coverage"), 1),
    **dict.fromkeys(("FID", "MM-Dist"), -1),
    **dict.fromkeys(("Diversity", "MultiModality"), 0),
}


@dataclass(frozen=True)
class Plan:
    """A protocol with its numbers.

    Attributes: name: of `NAMES`. fps: of the data. repeats: R. seed: of everything that is drawn.
    """

    name: str
    fps: float
    repeats: int
    seed: int = 0

    @property
    def guo(self) -> t2m_protocol.T2MProtocol | None:
        """The published protocol, None for ours."""
        return None if self.name == OWN else t2m_protocol.protocol(self.name)

    def span(self) -> Span:
        """Which part of a clip a caption is about, None where it is not evaluated."""
        guo = self.guo
        if guo is not None:
            return lambda start, end, frames: t2m_protocol.caption_span(start, end, frames, self.fps, guo)

        def own(start: float, end: float, frames: int) -> tuple[int, int] | None:
            first, last = (0, frames) if end <= 0 else (round(start * self.fps), min(round(end * self.fps), frames))
            last = min(last, first + round(LONGEST * self.fps))
            return (first, last) if last - first >= round(SHORTEST * self.fps) else None

        return own

    @property
    def least(self) -> int:
        """Frames that a motion must have."""
        return round(SHORTEST * self.fps) if self.guo is None else self.guo.unit


def plan(name: str, fps: float, repeats: int | None = None, seed: int = 0) -> Plan:
    """The protocol `name` on data of `fps`; `repeats` None: as it says itself (ours: one).

    Raises:
        MateError: an unknown name, or no repeats.
    """
    if name not in NAMES:
        raise MateError(f"got protocol {name!r}, expected one of {', '.join(NAMES)}")
    count = repeats if repeats is not None else (1 if name == OWN else t2m_protocol.protocol(name).repeats)
    if count < 1:
        raise MateError(f"got {count} repeats, expected at least 1")
    return Plan(name, fps, count, seed)


@dataclass(frozen=True)
class Chosen:
    """What one repeat takes of a clip: the number of its caption, the first frame, how many frames."""

    caption: int
    start: int
    length: int


def choose(clips: Sequence[Clip], plan: Plan, repeat: int) -> list[Chosen]:
    """What a repeat takes of every clip; depends on (seed, repeat, the clip's name) alone."""
    guo = plan.guo
    if guo is None:
        return [Chosen(0, 0, len(clip.features)) for clip in clips]
    found = []
    for clip in clips:
        caption = t2m_protocol.choose_caption(len(clip.captions), guo, clip.key, repeat, plan.seed)
        found.append(Chosen(caption, *t2m_protocol.crop(len(clip.features), guo, clip.key, repeat, plan.seed)))
    return found


def trimmed(made: Made, plan: Plan) -> np.ndarray:
    """The features of a made motion that are evaluated: from its beginning, as long as the protocol's clips are at most."""
    guo = plan.guo
    if guo is None:
        return made.features[: round(LONGEST * plan.fps)]
    return made.features[: min(len(made.features), guo.longest) // guo.unit * guo.unit]


# ---------------------------------------------------------------------- embeddings, shared by processes


def embed_motions(evaluator: Evaluator, motions: Sequence[np.ndarray]) -> np.ndarray:
    """(N, E), every process a share of them."""
    mine = share(len(motions))
    rows = evaluator.motions([motions[n] for n in mine]) if len(mine) else np.zeros((0, 0))
    return np.asarray(gather_rows(rows, len(motions)), dtype=np.float64)


def embed_texts(evaluator: Evaluator, captions: Sequence[Caption]) -> np.ndarray:
    """(N, E); equal captions are read once, in one order, by every process alike."""
    distinct = sorted({(caption.text, caption.tags) for caption in captions})
    place = {pair: number for number, pair in enumerate(distinct)}
    rows = evaluator.texts([Caption(text, tags) for text, tags in distinct])
    return rows[[place[caption.text, caption.tags] for caption in captions]]


# ---------------------------------------------------------------------- figures


@dataclass(frozen=True, eq=False)
class Repeat:
    """Embeddings of one repeat.

    Attributes:
        keys, captions: of the N samples. text, motion: (N, E).
        reference: (M, E) real motions, and real: their mean and covariance.
        compared: (K, E) what is put beside the reference as a set: `motion`, but one half of it where the other is the reference.
    """

    keys: list[str]
    captions: list[Caption]
    text: np.ndarray
    motion: np.ndarray
    reference: np.ndarray
    real: Gaussian
    compared: np.ndarray

    @property
    def whole(self) -> bool:
        """Whether all samples are compared."""
        return self.compared is self.motion


def same_shown(captions: Sequence[Caption], groups: Sequence[str], clips: Sequence[Clip]) -> np.ndarray:
    """(N, N) bool: text i fits motion j too, because both show the same or one is captioned with the other's text."""
    texts = {text: number for number, text in enumerate(sorted({caption.text for caption in captions}))}
    names = {group: number for number, group in enumerate(sorted(set(groups)))}
    held = np.zeros((len(names), len(texts)), dtype=bool)  # [group, text]: a clip of the group is captioned so
    for clip in clips:
        if clip.group in names:
            held[names[clip.group], [texts[c.text] for c in clip.captions if c.text in texts]] = True
    text = np.array([texts[caption.text] for caption in captions])
    group = np.array([names[name] for name in groups])
    fits = held[group[None, :], text[:, None]]
    return fits | fits.T | (group[:, None] == group[None]) | (text[:, None] == text[None])


def groups_of(captions: Sequence[Caption], clips: Sequence[Clip]) -> list[str]:
    """What each text asks for: the group of the first clip with that caption, else the text itself."""
    known: dict[str, str] = {}
    for clip in clips:
        for caption in clip.captions:
            known.setdefault(caption.text, clip.group)
    return [known.get(caption.text, f"\x1f{caption.text}") for caption in captions]


def row(
    repeats: Sequence[Repeat], plan: Plan, clips: Sequence[Clip], groups: Sequence[Sequence[str]] | None = None
) -> dict[str, Any]:
    """The figures of one row, real or made, by one evaluator.

    Args:
        groups: of the samples of each repeat, for ours; None: found by their texts.

    Returns:
        `figures`: name -> {value, repeats_95 (half of the 95 % interval over repeats), prompts_95 (over prompts: FID, MM-Dist and R@k)},
        `folds`: FID with a part of the prompts left out, FOLDS of them; `samples`: columns over distinct keys, for paired tests.
    """
    guo = plan.guo
    values: list[dict[str, float]] = []
    columns: dict[str, dict[str, list[float]]] = {}
    known: set[int] = set()
    for number, one in enumerate(repeats):
        # Per-sample figures are exact: further repeats with the same motions would say the same.
        fresh = id(one.motion) not in known
        known.add(id(one.motion))
        hits = np.zeros((0, TOP))
        if guo is None:
            own = groups[number] if groups is not None else groups_of(one.captions, clips)
            hits = r_precision_by_sample(one.text, one.motion, POOL, TOP, same=same_shown(one.captions, own, clips))
            values.append(_own_figures(one, hits))
        else:
            values.append(t2m_protocol.repeat_figures(one.real, one.text, one.motion, guo, one.keys, number, plan.seed))
            if not one.whole:
                values[-1]["FID"] = frechet(one.real, gaussian(one.compared))
            if fresh:
                hits = r_precision_by_sample(one.text, one.motion, guo.pool, TOP)
        if fresh:
            distance = np.linalg.norm(one.text - one.motion, axis=1)
            for key, hit, far in zip(one.keys, hits, distance, strict=True):
                column = columns.setdefault(key, {name: [] for name in PAIRED})
                for name, value in zip(PAIRED, (*hit, far), strict=True):
                    column[name].append(float(value))
    figures: dict[str, dict[str, float]] = {}
    for name in values[0]:
        mean, half = interval(np.array([value[name] for value in values]), biased=guo is not None and guo.chance)
        figures[name] = {"value": mean, "repeats_95": half}
    samples = {
        key: {name: float(np.mean(own)) for name, own in column.items()} for key, column in sorted(columns.items())
    }
    texts = {key: caption.text for one in repeats for key, caption in zip(one.keys, one.captions, strict=True)}
    fold = folds([texts[key] for key in samples])
    for name in PAIRED:
        column = np.array([sample[name] for sample in samples.values()])
        kept = [column[fold != part].mean() for part in range(fold.max() + 1)]
        figures[name]["prompts_95"] = jackknife(column.mean(), kept)
    without = fid_folds(repeats[0]) if repeats[0].whole else []
    if without:
        figures["FID"]["prompts_95"] = jackknife(frechet(repeats[0].real, gaussian(repeats[0].motion)), without)
    if (several := multimodal(repeats, plan)) is not None:
        figures["MultiModality"] = several
    return {"figures": figures, "folds": {"FID": without}, "samples": samples}


def _own_figures(one: Repeat, hits: np.ndarray) -> dict[str, float]:
    return {
        **{f"R@{top}": float(value) for top, value in enumerate(hits.mean(axis=0), start=1)},
        "FID": frechet(one.real, gaussian(one.compared)),
        "MM-Dist": mm_dist(one.text, one.motion),
        "Diversity": diversity(one.motion),
        **precision_recall_density_coverage(one.reference, one.compared, NEIGHBOURS),
    }


def multimodal(repeats: Sequence[Repeat], plan: Plan) -> dict[str, float] | None:
    """MultiModality of texts with several motions; None where there are none.

    Ours: all texts with two motions or more, over all repeats. The published ones: texts with as many motions in one repeat as they
    ask for.
    """
    guo = plan.guo
    rows: dict[str, list[np.ndarray]] = {}
    for one in repeats if guo is None else repeats[:1]:
        for caption, vector in zip(one.captions, one.motion, strict=True):
            rows.setdefault(caption.text, []).append(vector)
    if guo is None:
        many = [rows[text] for text in sorted(rows) if len(rows[text]) > 1]
        return (
            {"value": float(np.mean([multimodality(np.stack(own)[None]) for own in many])), "repeats_95": 0.0}
            if many
            else None
        )
    least = guo.multimodality_samples
    texts = sorted(
        (text for text in rows if len(rows[text]) >= least), key=lambda text: hashlib.sha256(text.encode()).digest()
    )
    if not texts:
        return None
    features = np.stack([rows[text][:least] for text in texts[: guo.multimodality_prompts]])
    values = [t2m_protocol.multimodality_figure(features, guo, number, plan.seed) for number in range(len(repeats))]
    mean, half = interval(np.array(values), biased=guo.chance)
    return {"value": mean, "repeats_95": half}


def folds(texts: Sequence[str]) -> np.ndarray:
    """A part (N,) in 0..FOLDS-1 for every sample: distinct texts, in an order that nobody chose, are dealt out in turn."""
    distinct = sorted(set(texts), key=lambda text: hashlib.sha256(text.encode()).digest())
    place = {text: number % min(FOLDS, len(distinct)) for number, text in enumerate(distinct)}
    return np.array([place[text] for text in texts])


def fid_folds(one: Repeat) -> list[float]:
    """FID with each part of the prompts left out."""
    fold = folds([caption.text for caption in one.captions])
    parts = range(int(fold.max()) + 1)
    return [frechet(one.real, gaussian(one.motion[fold != part])) for part in parts if (fold != part).sum() > 1]


def jackknife(whole: float, without: Sequence[float]) -> float:
    """Half of the 95 % interval of a figure by the delete-a-group jackknife: from its values with each part left out. NaN for one part.

    Prompts are what is drawn: the interval says how far the figure would move on other prompts of the kind, the reference kept.
    """
    count = len(without)
    if count < 2:
        return float("nan")
    pseudo = count * whole - (count - 1) * np.asarray(without)
    return interval(pseudo)[1]


def reference_note(plan: Plan) -> str:
    """What the FID of the real row is."""
    if plan.name == "guo-as-released":
        return "the real row's FID is between two draws of crops of the same clips"
    return "the real row's FID is between two halves of the clips: the noise of half as many samples, no lower bound"


Reference = tuple[np.ndarray, Gaussian]
"""Embeddings (M, E) of real motions, with their mean and covariance."""


def real_repeats(evaluator: Evaluator, clips: Sequence[Clip], plan: Plan) -> tuple[list[Repeat], list[Reference]]:
    """The real row's repeats, and each repeat's reference for the other rows."""
    chosen = [choose(clips, plan, repeat) for repeat in range(plan.repeats)]
    again = (
        [choose(clips, plan, plan.repeats + repeat) for repeat in range(plan.repeats)]
        if plan.guo and plan.guo.chance
        else []
    )
    crops = sorted({(n, one.start, one.length) for rows in (*chosen, *again) for n, one in enumerate(rows)})
    place = {crop: number for number, crop in enumerate(crops)}
    vectors = embed_motions(evaluator, [clips[n].features[start : start + length] for n, start, length in crops])
    captions = [[clip.captions[one.caption] for clip, one in zip(clips, rows, strict=True)] for rows in chosen]
    texts = embed_texts(evaluator, [caption for row in captions for caption in row]).reshape(
        plan.repeats, len(clips), -1
    )
    keys = [clip.key for clip in clips]

    def motions(rows: Sequence[Chosen]) -> np.ndarray:
        return vectors[[place[n, one.start, one.length] for n, one in enumerate(rows)]]

    if not again:  # without chance the crops of all repeats are the same
        own, half = motions(chosen[0]), halves(keys)
        real = gaussian(own[half], "half of the real motions")
        rows = range(plan.repeats if plan.guo else 1)
        found = [Repeat(keys, captions[n], texts[n], own, own[half], real, own[~half]) for n in rows]
        return found, [(own, gaussian(own, "real"))] * plan.repeats
    found, references = [], []
    for number, (rows, others) in enumerate(zip(chosen, again, strict=True)):
        own, other = motions(rows), motions(others)
        references.append((own, gaussian(own, "real")))
        found.append(Repeat(keys, captions[number], texts[number], own, other, gaussian(other, "real"), own))
    return found, references


def halves(keys: Sequence[str]) -> np.ndarray:
    """(N,) bool: half of the samples, by their names."""
    order = sorted(range(len(keys)), key=lambda n: hashlib.sha256(keys[n].encode()).digest())
    chosen = np.zeros(len(keys), dtype=bool)
    chosen[order[: len(keys) // 2]] = True
    return chosen


def made_repeats(
    evaluator: Evaluator,
    made: Sequence[Sequence[Made]],
    captions: Mapping[str, Caption],
    references: Sequence[Reference],
    plan: Plan,
) -> list[Repeat]:
    """The repeats of made motions: made[r % len(made)] stands in repeat r.

    Args:
        captions: of the data by text, for their tags; a text that is none of them gets tags by rule.
        references: of each repeat, from `real_repeats`.
    """
    embedded = []
    for motions in made:
        own = [captions.get(one.text) or Caption(one.text) for one in motions]
        vectors = embed_motions(evaluator, [trimmed(one, plan) for one in motions])
        embedded.append(([one.key for one in motions], own, embed_texts(evaluator, own), vectors))
    found = []
    for number, (reference, real) in enumerate(references):
        keys, own, texts, vectors = embedded[number % len(embedded)]
        found.append(Repeat(keys, own, texts, vectors, reference, real, compared=vectors))
    return found
