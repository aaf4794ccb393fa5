"""Recordings that are continuous by nature, with what happens in them written down: trials of CMU's subject 16.

CMU's index says what each trial is ("walk, 90-degree left turn"; "run/jog, sudden stop"). When the turn or the stop is, nobody wrote down
(the trials' `.lab` files give one walk or run that covers all but the margins), so it is measured, by rules that know no text:

    turn        from the last frame below 10 % of the heading's whole change to the first at 90 % (the gait itself sways the heading)
    stop, start the frame at which the smoothed speed of the pelvis passes half its median in the moving half of the trial

Seven trials of 1.8 to 3.5 seconds: few, and short. Trials that only veer have no such moment, 16_41 begins in its turn: left out.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mate.errors import MateError
from mate.evaluate.grounding_truth import KnownClip, known_words
from mate.motion.retarget import heading

Change = Literal["turn", "stop", "start"]


@dataclass(frozen=True)
class Trial:
    """A trial, its caption (phrases joined by `, then `) and what divides it."""

    file: str
    caption: str
    change: Change


def _turning(file: str, gait: str, side: str) -> Trial:
    return Trial(file, f"a person {gait} forward, then turns to the {side}, then {gait} on", "turn")


TRIALS = (
    _turning("16_28_1.bvh", "walks", "left"),
    _turning("16_29_1.bvh", "walks", "right"),
    _turning("16_44_1.bvh", "runs", "right"),
    Trial("16_08_1.bvh", "a person runs forward, then stops suddenly", "stop"),
    Trial("16_57_1.bvh", "a person runs forward, then stops suddenly", "stop"),
    Trial("16_34_1.bvh", "a person walks slowly, then stops", "stop"),
    Trial("16_31_1.bvh", "a person stands still, then walks forward", "start"),
)


def change_times(joints: np.ndarray, fps: float, change: Change) -> list[float]:
    """The seconds at which joints (T, J, 3) begin and end to turn, or stop, or start, by the rules above."""
    if change == "turn":
        turned = np.unwrap(heading(joints))
        share = (turned - turned[0]) / (turned[-1] - turned[0])
        end = int(np.argmax(share >= 0.9))
        return [float(np.flatnonzero(share[: end + 1] < 0.1)[-1] / fps), end / fps]
    speed = np.linalg.norm(np.diff(joints[:, 0, [0, 2]], axis=0), axis=-1)
    width = max(1, round(0.3 * fps)) | 1
    speed = np.convolve(np.pad(speed, width // 2, mode="edge"), np.ones(width) / width, mode="valid")
    half = len(speed) // 2
    if change == "start":
        return [float(np.argmax(speed >= np.median(speed[half:]) / 2) / fps)]
    return [float(np.argmax(speed < np.median(speed[:half]) / 2) / fps)]


def read_trials(folder: str | Path, fps: float = 20.0) -> list[KnownClip]:
    """The trials of a folder with CMU subject 16's BVH files.

    Raises:
        MateError: one of them is missing, or cannot be read.
    """
    from mate.formats.load import load_motion
    from mate.motion.features import process_motion
    from mate.motion.retarget import resample

    missing = [trial.file for trial in TRIALS if not (Path(folder) / trial.file).is_file()]
    if missing:
        raise MateError(f"{folder} lacks {', '.join(missing)}; expected CMU subject 16's trials as BVH")
    found = []
    for trial in TRIALS:
        motion = load_motion(Path(folder) / trial.file)
        joints = np.asarray(resample(motion.joints, motion.fps, fps))
        features = process_motion(joints, precise=True)
        times = change_times(joints, fps, trial.change)
        edges = [0, *(round(time * fps) for time in times), len(features)]
        events = [(start, end) for start, end in itertools.pairwise(edges)]
        words = known_words(trial.caption, events)
        boundaries = tuple((time, time) for time in times)
        found.append(KnownClip(trial.file, features, joints, fps, trial.caption, "continuous", boundaries, words))
    return found
