"""One HTML file that plays a motion in any browser, offline, with the words of a text over it where their grounding is given.

The page is `player.html`: no library, nothing from the network (its content policy forbids it), data as JSON inside.
"""

import base64
import html
import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.files import atomic_path
from mate.formats.figure import TRUNK, body_figure
from mate.motion.motion import Motion

_AZIMUTH = -50.0  # degrees: where the camera stands at first, from the body's facing, positive to its left
_COLUMNS = 300  # at most this many steps of time in a word's row
_LIT = 0.08  # a joint with at least this share of a word is named
_WARM = 0.6  # a frame with at least this much of the way from the least to the greatest attention is named


def write_html(
    motion: Motion,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    grounding: Mapping[str, Any] | None = None,
) -> None:
    """Writes a page with play, speed, a slider, a camera to turn, and what the words of a text light up.

    The title is the prompt if the metadata have one, else the motion's name. All texts are escaped: nothing in them is markup.

    Args:
        grounding: as `mate.align.grounding.Grounding.to_json` gives it and `mate ground --json` prints it.

    Raises:
        MateError: not such a grounding, or the file cannot be written.
    """
    metadata = dict(metadata or {})
    title = metadata.get("prompt") or motion.name or "motion"
    notes = "".join(
        f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>" for key, value in sorted(metadata.items()) if value
    )
    data = json.dumps(_data(motion, grounding), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    page = resources.files("mate.formats").joinpath("player.html").read_text(encoding="utf-8")
    parts = {"title": html.escape(title), "notes": notes, "data": data.replace("<", "\\u003c")}
    pieces = page.split("{{")
    text = pieces[0] + "".join(parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces[1:]))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _data(motion: Motion, grounding: Mapping[str, Any] | None) -> dict[str, Any]:
    points, capsules = body_figure(motion)
    names = motion.skeleton.joint_names
    turn = math.radians(_AZIMUTH)
    if "left_hip" in names and "right_hip" in names:
        across = motion.joints[0, names.index("left_hip")] - motion.joints[0, names.index("right_hip")]
        turn += math.atan2(-float(across[2]), float(across[0]))
    words, segments = _words(grounding, motion) if grounding is not None else ([], [])
    return {
        "fps": motion.fps,
        "frames": motion.frames,
        "count": points.shape[1],
        "names": list(names),
        "turn": round(turn, 4),
        "points": base64.b64encode(np.ascontiguousarray(points, dtype="<f4").tobytes()).decode("ascii"),
        "capsules": [
            {
                "a": part.a, "b": part.b, "ra": part.radius_a, "rb": part.radius_b, "color": part.color,
                "trunk": part.color == TRUNK, "bones": [part.bone_a, part.bone_b],
            }
            for part in capsules
        ],
        "words": words,
        "segments": segments,
    }  # fmt: skip


def _words(grounding: Mapping[str, Any], motion: Motion) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the page shows of every word, and the segments."""
    try:
        seconds = float(grounding["frames"]) / float(grounding["fps"])
        words = [_word(word, seconds, motion) for word in grounding["words"]]
        segments = [
            {
                "start": float(part["start"]),
                "end": float(part["end"]),
                "texts": [str(text) for text in part["sub_texts"]],
            }
            for part in grounding["segments"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise MateError(
            f"not a grounding of words ({type(error).__name__}: {error}); expected what `mate ground MOTION TEXT --json` prints"
        ) from error
    if abs(seconds - motion.seconds) > 0.25 + 0.02 * motion.seconds:
        raise MateError(
            f"got the grounding of {seconds:.2f} s for a motion of {motion.seconds:.2f} s; ground this motion"
        )
    if not any(word["row"] for word in words):
        words = [word | {"row": True} for word in words]
    return words, segments


def _word(word: Mapping[str, Any], seconds: float, motion: Motion) -> dict[str, Any]:
    attention = np.array([float(weight) for weight in word["attention"]])
    if not len(attention) or not np.isfinite(attention).all():
        raise ValueError("attention without numbers")
    read = np.flatnonzero(attention)
    if len(read):  # the frames beyond the last whole latent unit have no weight of their own
        attention[read[-1] :] = attention[read[-1]]
    step = math.ceil(len(attention) / _COLUMNS)
    heat = np.array([part.mean() for part in np.split(attention, range(step, len(attention), step))])
    low, high = float(heat.min()), float(heat.max())
    heat = (heat - low) / (high - low) if high > low else np.zeros(len(heat))
    names = motion.skeleton.joint_names
    shares = {str(name): float(share) for name, share in (word["joints"] or {}).items()}
    share = np.array([shares.get(name, 0.0) for name in names])
    glow = share / share.max() if share.max() > 0 else share
    lit = [int(joint) for joint in np.argsort(-share, kind="stable") if share[joint] >= _LIT]
    spans = _spans(heat, seconds)
    said = f"{word['word']}: " + ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in spans)
    said += "; " + ", ".join(f"{names[joint]} {share[joint]:.0%}" for joint in lit[:4]) if lit else ""
    return {
        "text": str(word["word"]),
        "row": bool(word["motion_word"]),
        "seconds": seconds,
        "heat": np.round(heat, 3).tolist(),
        "glow": np.round(glow, 3).tolist(),
        "lit": lit,
        "spans": spans,
        "said": said,
    }


def _spans(heat: np.ndarray, seconds: float) -> list[list[float]]:
    """Stretches of time, [start, end] in seconds, in which the attention is great."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (heat >= _WARM).astype(int), [0]))))
    return [
        [round(float(start) * seconds / len(heat), 3), round(float(end) * seconds / len(heat), 3)]
        for start, end in edges.reshape(-1, 2)
    ]
