"""The main job in small: a corpus is made, words are aligned on it, a prompt becomes motion with and without a word patch.

Needs nothing but the installation: no data, no network, no GPU.
"""

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch.nn.functional import cosine_similarity

from mate.align.aligner import AlignerConfig
from mate.align.config import AlignConfig
from mate.align.recipe import align
from mate.data.build import write_dataset
from mate.data.captions import words
from mate.data.kinwords import kinwords
from mate.errors import MateError
from mate.files import atomic_path
from mate.formats.load import load_motion
from mate.generate.request import Request, make, request
from mate.motion import kinematics
from mate.motion.motion import Motion
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch

LICENSE = "Apache-2.0"  # of kinwords, hence of what is aligned on it
# Words that no movement is both of, in the texts in which they are compared.
OPPOSITES = (
    ("left", "right", "a person turns {}"),
    ("clockwise", "anticlockwise", "a person walks {} in a circle"),
)
# A quarter of the recipe's width and a coarser grid of boundaries: minutes instead of half an hour.
SMALL = AlignerConfig(width=128, layers=2, local_layers=1, heads=4, feedforward=256, decoder_layers=1, grid=4)
FORMATS = ("bvh", "glb", "html", "mp4", "npy")


@dataclass(frozen=True)
class DemoConfig:
    """What the demo does.

    Attributes:
        clips: of the corpus; 85 % are trained on, 10 % are the held-out test clips.
        retrieval_steps, align_steps: of the two training stages of alignment.
        max_minutes: both stages together end by the clock at the latest.
        prompt, seconds, seed: the motion that is made.
        model: the generator: a folder, "default" or "kinwords".
    """

    clips: int = 1500
    retrieval_steps: int = 300
    align_steps: int = 150
    max_minutes: float = 5.0
    prompt: str = "a person walks forward and turns left"
    seconds: float = 5.0
    seed: int = 1
    model: str = "default"


Say = Callable[[str], None]


def run_demo(
    out: str | Path, config: DemoConfig | None = None, say: Say = print, quiet: bool = False
) -> dict[str, Any]:
    """Runs the demo and returns what it found and wrote, also kept in `out`/demo.json.

    Args:
        out: gets kinwords/ (the corpus), align/ (patch and retrieval model), with-patch/ and without-patch/ (motions).
        say: called with a line at every step.
        quiet: no progress bars.

    Raises:
        MateError: a path cannot be written, or no generator is there.
    """
    config, out, begun = config or DemoConfig(), Path(out), time.monotonic()
    if config.clips < 100:
        raise MateError(f"got {config.clips} clips, expected at least 100: fewer leave no held-out clips to measure on")
    # What can be wrong with the last step is found before the first.
    wanted = request([config.prompt], [config.seconds], config.seed, FORMATS, out, config.model)

    say(f"1  a corpus: {config.clips} procedural clips whose words are known (kinwords)")
    corpus = make_corpus(out / "kinwords", config)
    say(f"   {corpus['clips']['train']} clips to learn from, {corpus['clips']['test']} held out; {corpus['folder']}")

    say("2  alignment: only the word-embedding rows of motion words move")
    aligned = align_words(out, config, quiet)
    say(f"   {aligned['motion_words']} words, {aligned['rows']} of {aligned['table_rows']:,} rows; {aligned['patch']}")
    for (pair, value), (*_, text) in zip(aligned["cosines"].items(), OPPOSITES, strict=True):
        old, new = value["before"], value["after"]
        say(
            f'   cosine of {pair} in "{text.format("...")}": {old["words"]:.3f} -> {new["words"]:.3f} '
            f"(of the whole texts: {old['texts']:.3f} -> {new['texts']:.3f})"
        )
    found = aligned["retrieval"]
    say(
        f"   which of {found['clips']} held-out clips is a caption about? R@1 {found['before']:.1%} with frozen words -> "
        f"{found['after']:.1%} after alignment, which also trains longer (chance {found['chance']:.1%})"
    )

    say(f'3  motion: "{config.prompt}", {config.seconds:g} s, seed {config.seed}')
    motions = make_motions(wanted)
    for name, made in motions.items():
        say(f"   {name}: {made['measured']}")
        for file in made["files"]:
            say(f"      {file}")
    say(f"   licence of the motions: {motions['with patch']['license']}")

    minutes = round((time.monotonic() - begun) / 60, 2)
    result = {
        "out": str(out),
        "minutes": minutes,
        "config": asdict(config),
        "corpus": corpus,
        "words": aligned,
        "motions": motions,
    }
    with atomic_path(out / "demo.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    say(f"done in {minutes:g} minutes; to look at the motion, open {out / 'with-patch' / '0000.html'} in a browser")
    return result


def make_corpus(folder: Path, config: DemoConfig) -> dict[str, Any]:
    """Step 1: writes the procedural corpus."""
    facts = {"seed": config.seed, "captions": "from mate's grammar"}
    report = write_dataset(kinwords(config.clips, config.seed), folder, name="kinwords", license=LICENSE, facts=facts)
    return {"folder": str(folder), "clips": report.clips, "hours": round(report.seconds / 3600, 3)}


def align_words(out: Path, config: DemoConfig, quiet: bool) -> dict[str, Any]:
    """Step 2: aligns words on the corpus and compares the language model with and without the patch."""
    work = out / "align"
    settings = AlignConfig(
        retrieval_steps=config.retrieval_steps,
        steps=config.align_steps,
        max_minutes=config.max_minutes,
        seed=config.seed,
    )
    if (work / "report.json").is_file():  # a finished run of an earlier demo; an unfinished one is continued
        shutil.rmtree(work)
    made = align([out / "kinwords"], work, config=settings, quiet=quiet)
    encoder = TextEncoder.from_pretrained()
    before = opposite_cosines(encoder)
    with WordPatch.load(made.patch).apply(encoder):
        after = opposite_cosines(encoder)
    if opposite_cosines(encoder) != before:
        raise AssertionError("reverting the patch did not restore the language model")
    first, second = (made.report["retrieval"][stage]["test"] for stage in ("before", "after"))
    return {
        "patch": str(made.patch),
        "model": str(made.model),
        "license": made.report["license"],
        "motion_words": made.report["motion_words"],
        "rows": made.report["rows"],
        "table_rows": len(encoder.table),
        "cosines": {pair: {"before": values, "after": after[pair]} for pair, values in before.items()},
        "retrieval": {
            "clips": first["clips"],
            "chance": 1 / first["clips"],
            "before": first["exact"]["R@1"],
            "after": second["exact"]["R@1"],
            "left_right_before": first["left_right_accuracy"],
            "left_right_after": second["left_right_accuracy"],
        },
    }


def opposite_cosines(encoder: TextEncoder) -> dict[str, dict[str, float]]:
    """How near opposites are to the language model: cosines of the two words in their texts, and of the two texts."""
    found = {}
    for one, other, text in OPPOSITES:
        texts = [text.format(one), text.format(other)]
        place = [word.text for word in words(texts[0])].index(one)
        left, right = encoder.word_features(texts).vectors[:, place]
        first, second = encoder.encode(texts).pooled
        found[f"{one} / {other}"] = {
            "words": round(float(cosine_similarity(left, right, dim=0)), 4),
            "texts": round(float(cosine_similarity(first, second, dim=0)), 4),
        }
    return found


def make_motions(wanted: Request) -> dict[str, Any]:
    """Step 3: one prompt, with the generator's own word patch and without it, in every format.

    The generator was trained with the patch, so without it the prompt reads strange to it: this shows what the rows carry, not
    the paper's comparison (which trains one generator for each).
    """
    found = {}
    for name, patched in (("with patch", True), ("without patch", False)):
        folder = wanted.out / name.replace(" ", "-")
        [row] = make(replace(wanted, out=folder), patch=patched)
        files = [str(folder / file) for file in row["files"]]
        motion = load_motion(next(file for file in files if file.endswith(".npy")))
        found[name] = {**row, "files": files, "measured": describe(motion)}
    return found


def describe(motion: Motion) -> str:
    """What was measured of a motion, in words: the way and the turn."""
    way = kinematics.path_length(motion.joints, motion.fps)
    turn = math.degrees(kinematics.total_turn(motion.joints, motion.fps))
    side = "left" if turn >= 0 else "right"
    return f"went {way:.1f} m, turned {abs(turn):.0f} degrees to the {side}"
