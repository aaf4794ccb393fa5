"""The generator probe: does a folder of motions do what its prompts say, word by word and rung by rung? Judged from joints alone.

A card gives for every rung and word: how often the prompt is obeyed, of the motions that the judge decides; Wilson's 95 % interval; how
often it cannot tell; and chance: the same of motions made for other prompts of the same rung.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mate.errors import MateError
from mate.evaluate.card import rate, show_rate, table, versions
from mate.evaluate.judge import judge_events, measured
from mate.evaluate.judge_limits import Answer
from mate.evaluate.word_prompts import RUNGS, WordPrompt, packaged_prompts, parse_prompts, word_prompts_hash
from mate.motion.kinematics_tracks import Tracks

PROTOCOL = "mate-words-1"
FPS = 20.0
SATURATED, UNSOLVED = 0.95, 0.10
CHUNK = 64  # prompts that a generator makes at once


@dataclass(frozen=True)
class Made:
    """A motion that was made for a prompt: tracks of it, measured once, and the seed that it was sampled with."""

    prompt: WordPrompt
    tracks: Tracks
    seed: int = 0


def made(prompt: WordPrompt, joints: np.ndarray, fps: float = FPS, seed: int = 0) -> Made:
    """Measures a motion (T, 22, 3). Raises MateError for a wrong shape or NaN."""
    return Made(prompt, measured(joints, fps), seed)


class SamplesMotion(Protocol):
    """What the word probes need of a generator."""

    def sample(
        self,
        texts: list[str],
        seconds: list[float] | None = None,
        seed: int = 0,
        *,
        numbers: Sequence[int] | None = None,
    ) -> list[np.ndarray]:
        """One motion (T, 22, 3) at 20 frames per second for each text; see `mate.generate.base.Generator.sample`."""
        ...


def sample_words(
    generator: SamplesMotion,
    prompts: Sequence[WordPrompt] | None = None,
    seeds: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Made]:
    """One motion for every prompt and seed (0, 1, ...), of the length that the prompt names, or the nearest that the generator makes.

    Args:
        progress: called with (motions made, motions in all).
    """
    prompts = packaged_prompts() if prompts is None else prompts
    low, high = (
        float(getattr(generator, name, limit)) for name, limit in (("min_seconds", 0.0), ("max_seconds", 60.0))
    )
    found: list[Made] = []
    for seed in range(seeds):
        for start in range(0, len(prompts), CHUNK):
            part = prompts[start : start + CHUNK]
            motions = generator.sample(
                [prompt.text for prompt in part],
                [min(max(prompt.seconds, low), high) for prompt in part],
                seed=seed,
                numbers=range(start, start + len(part)),
            )
            found += [made(prompt, joints, seed=seed) for prompt, joints in zip(part, motions, strict=True)]
            progress(len(found), len(prompts) * seeds)
    return found


def obeys(prompt: WordPrompt, tracks: Tracks) -> Answer:
    """Does the motion do what the prompt says?"""
    step = 0.25 if len(prompt.events) < 3 else 0.5
    return judge_events(tracks, prompt.events, step=step).answer


def _row(answers: Sequence[Answer], chance: Sequence[Answer], **labels: Any) -> dict[str, Any]:
    decided = [answer for answer in answers if answer is not None]
    by_chance = rate(answer for answer in chance if answer is not None)
    row = {**labels, "asked": len(answers), "cannot_tell": len(answers) - len(decided), **rate(decided)}
    return {
        **row,
        "chance": by_chance["rate"],
        "chance_low": by_chance["low"],
        "chance_high": by_chance["high"],
        "chance_n": by_chance["n"],
    }


def state(row: Mapping[str, Any]) -> str:
    """saturated (above 95 %), unsolved (less than ten points above chance) or between."""
    if row["rate"] > SATURATED:
        return "saturated"
    return "unsolved" if row["rate"] <= row["chance"] + UNSOLVED else "between"


def shuffled(motions: Sequence[Made], seed: int = 0) -> list[int]:
    """For every motion the number of another one of its rung whose prompt asks for something else; itself where there is none."""
    rng = np.random.default_rng(seed)
    others = list(range(len(motions)))
    for rung in dict.fromkeys(one.prompt.rung for one in motions):
        own = [number for number, one in enumerate(motions) if one.prompt.rung == rung]
        for number in own:
            wanted = motions[number].prompt.events
            foreign = [other for other in own if motions[other].prompt.events != wanted]
            if foreign:
                others[number] = foreign[int(rng.integers(len(foreign)))]
    return others


def word_card(
    motions: Sequence[Made], seed: int = 0, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """The result card of a set of motions.

    Args:
        seed: of the shuffling that gives chance.
        progress: called with (motions judged, motions in all).
    """
    if not motions:
        raise MateError("got no motions, expected at least one for the probe's prompts")
    partner = shuffled(motions, seed)
    answers: list[Answer] = []
    chance: list[Answer] = []
    for number, one in enumerate(motions):
        answers.append(obeys(one.prompt, one.tracks))
        if partner[number] != number:
            chance.append(obeys(one.prompt, motions[partner[number]].tracks))
        else:
            chance.append(None)
        progress(number + 1, len(motions))

    def rows(name: str, groups: Sequence[str], belongs: Callable[[Made, str], bool]) -> list[dict[str, Any]]:
        found = []
        for group in groups:
            mine = [number for number, one in enumerate(motions) if belongs(one, group)]
            if mine:
                found.append(_row([answers[n] for n in mine], [chance[n] for n in mine], **{name: group}))
        return found

    by_rung = rows("rung", RUNGS, lambda one, rung: one.prompt.rung == rung)
    for row in by_rung:
        row["state"] = state(row)
    words = sorted({word for one in motions for word in one.prompt.words()})
    prompts = [one.prompt for one in motions]
    return {
        "protocol": PROTOCOL,
        "prompts": len({prompt.text for prompt in prompts}),
        "prompts_sha256": word_prompts_hash(dict.fromkeys(prompts)),
        "seeds": sorted({one.seed for one in motions}),
        "motions": len(motions),
        "all": _row(answers, chance),
        "by_rung": by_rung,
        "by_word": rows("word", words, lambda one, word: word in one.prompt.words()),
        "answers": [
            {"prompt": one.prompt.text, "seed": one.seed, "answer": answer}
            for one, answer in zip(motions, answers, strict=True)
        ],
        "chance_is": f"the same prompts against motions of other prompts of their rung (seed {seed})",
        "versions": versions(),
    }


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""

    def cells(row: Mapping[str, Any]) -> list[str]:
        open_share = 100 * row["cannot_tell"] / max(row["asked"], 1)
        return [show_rate(row), f"{100 * row['chance']:.1f} %", f"{open_share:.1f} %"]

    total = card["all"]
    lines = [
        f"Protocol `{card['protocol']}`: {card['motions']} motions for {card['prompts']} prompts (SHA-256 "
        f"`{card['prompts_sha256'][:12]}`). Obeyed: {show_rate(total)} decided; chance {100 * total['chance']:.1f} %.",
        "",
        *table(
            ["rung", "obeyed, 95 % interval", "chance", "cannot tell", ""],
            [[row["rung"], *cells(row), row["state"]] for row in card["by_rung"]],
        ),
        "",
        *table(
            ["word", "obeyed, 95 % interval", "chance", "cannot tell"],
            [[row["word"].replace("_", " "), *cells(row)] for row in card["by_word"]],
        ),
    ]
    return "\n".join([*lines, ""])


# Prompts and motions of a folder


def match_words(texts: Sequence[str]) -> list[WordPrompt] | None:
    """The packaged prompt of each text; None if few of them are.

    Raises:
        MateError: most are and some are not.
    """
    known = {prompt.text: prompt for prompt in packaged_prompts()}
    found = [known.get(text.strip()) for text in texts]
    if 2 * sum(prompt is not None for prompt in found) <= len(found):
        return None
    for line, (text, prompt) in enumerate(zip(texts, found, strict=True), start=1):
        if prompt is None:
            raise MateError(
                f"line {line}: {text[:80]!r} is none of the {len(known)} prompts of {PROTOCOL}; "
                "`mate probe --words --write-prompts FILE` writes them"
            )
    return [prompt for prompt in found if prompt is not None]


def read_prompts(path: Path) -> list[WordPrompt] | None:
    """The prompts of a file: the packaged ones, one a line, or JSON with claims of one's own; None for other texts."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return list(parse_prompts(json.loads(text)["prompts"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MateError(f"cannot read prompts from {path}: {error}; expected one a line, or JSON") from error
    return match_words([line for line in text.splitlines() if line.strip()])


def read_folder(folder: Path, prompts: Sequence[WordPrompt], fps: float | None = None) -> list[Made]:
    """Motions 0000.*, 0001.*, ... of a folder, for prompts in their order: .npy joints (T, 22, 3) or features (T, 263), .npz, .bvh.

    Args:
        fps: of arrays that do not say it.

    Raises:
        MateError: a motion is missing, there are two of one number, or one cannot be read.
    """
    from mate.formats.load import load_motion
    from mate.motion.retarget import resample, retarget_to_canonical

    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("[0-9]*.*")) if folder.is_dir() else []:
        if path.suffix.lower() in (".npy", ".npz", ".bvh"):
            files.setdefault(path.stem, []).append(path)
    names = [f"{number:04d}" for number in range(len(prompts))]
    missing = [name for name in names if name not in files]
    if missing or not names:
        raise MateError(
            f"{folder}: {len(missing)} of the motions for {len(names)} prompts are missing ({', '.join(missing[:3])}); expected "
            "0000.npy, 0001.npy, ... (joints, HumanML3D features) or 0000.bvh, ... in the order of the prompts"
        )
    found = []
    for name, prompt in zip(names, prompts, strict=True):
        if len(files[name]) > 1:
            raise MateError(f"{folder}: {', '.join(path.name for path in files[name])}: expected one motion a prompt")
        [path] = files[name]
        motion = load_motion(path, None if path.suffix.lower() == ".bvh" else fps)
        joints = resample(np.asarray(motion.joints), motion.fps, FPS)
        if path.suffix.lower() == ".bvh":
            joints = retarget_to_canonical(joints)
        try:
            found.append(made(prompt, joints))
        except MateError as error:
            raise MateError(f"{path}: {error}") from error
    return found
