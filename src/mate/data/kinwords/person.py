"""Who moves: a build, a posture, a way of going and how noisily it was recorded; drawn once a clip."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mate.data.kinwords.body import CHANNELS, INDEX, Build
from mate.data.kinwords.curves import DEGREE

Array = np.ndarray
STATURE = 1.72  # metres, of the canonical body
GRAVITY = 9.81
STYLED: tuple[str, ...] = (
    "arms",
    "lift",
    "width",
    "bob",
    "twist",
    "sway",
)  # numbers of a gait that differ from person to person


@dataclass(frozen=True)
class Person:
    """One body and its habits. Angles in degrees.

    Attributes:
        build: lengths of the bones.
        stoop: rounding of the upper back; chin: how far the head is pushed forward over it.
        slant: a lasting lean to the right (negative: left).
        toes: how far the feet point outward; stance: factor on the distance between them; knees: how much lower the pelvis rides, metres.
        elbows, arms_out: bend of the hanging arms, and how far from the body they hang.
        cadence: factor on the steps a second at the same speed, beyond what the legs' length makes of it.
        style: factors on the numbers in STYLED; lean: of the trunk while going; uneven: how much more the left arm swings than the right.
        noise: standard deviation of what a recording adds to the joint angles; 0 for a clean one.
    """

    build: Build
    stoop: float
    chin: float
    slant: float
    toes: float
    stance: float
    knees: float
    elbows: float
    arms_out: float
    cadence: float
    style: dict[str, float]
    lean: float
    uneven: float
    noise: float

    @property
    def stature(self) -> float:
        """Standing height, metres."""
        b = self.build
        return STATURE * (0.535 * b.legs + 0.265 * b.trunk + 0.2 * b.head)

    @property
    def steps(self) -> float:
        """Factor on the steps a second: long legs swing slowly, as pendulums do."""
        return self.cadence / np.sqrt(self.build.legs)

    @property
    def gravity(self) -> float:
        """Metres of the canonical body per second squared: the jump of a small body is a short one."""
        return GRAVITY / self.build.legs

    def jitter(self, frames: int, rng: np.random.Generator) -> Array:
        """What the recording adds to the channels, (T, C) radians and metres. Feet that stand are free of it: they are planted last."""
        out = np.zeros((frames, len(CHANNELS)))
        if self.noise:
            white = rng.standard_normal((frames + 2, len(CHANNELS)))
            out = (0.25 * white[:-2] + 0.5 * white[1:-1] + 0.25 * white[2:]) * (self.noise * DEGREE / 0.61)
            out[:, : INDEX["pelvis_pitch"]] *= 0.06  # a degree goes with about a millimetre
            out[:, INDEX["pelvis_pitch"] : INDEX["head_pitch"]] *= 0.4
        return out

    def json(self) -> dict[str, Any]:
        """What a sample says of its body."""
        build = {name: round(float(factor), 4) for name, factor in vars(self.build).items()}
        own = {k: round(float(v), 4) for k, v in vars(self).items() if k not in ("build", "style")}
        style = {name: round(factor, 4) for name, factor in self.style.items()}
        return {"stature": round(self.stature, 3), "build": build, **own, "style": style}


def draw_person(rng: np.random.Generator) -> Person:
    """Statures of 1.45 to 2.0 m; half of the recordings clean, half with up to 0.6 degrees of noise."""
    size = float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.15))
    legs, trunk, shoulders, arms = np.clip(rng.normal(1.0, (0.025, 0.025, 0.04, 0.03)), 0.92, 1.08) * size
    head = float(np.clip(rng.normal(1.0, 0.02), 0.95, 1.05)) * size**0.5
    factors = np.exp(np.clip(rng.normal(0.0, 0.16, len(STYLED)), -0.3, 0.3))
    style = {str(name): float(factor) for name, factor in zip(STYLED, factors, strict=True)}
    stoop = float(rng.gamma(1.6, 3.2)) - 3.0
    return Person(
        Build(float(legs), float(trunk), float(shoulders), float(arms), head),
        stoop=float(np.clip(stoop, -4.0, 18.0)),
        chin=float(rng.normal(0.0, 3.0)),
        slant=float(rng.normal(0.0, 0.7)),
        toes=float(np.clip(rng.normal(7.0, 3.5), -2.0, 18.0)),
        stance=float(np.clip(rng.normal(1.0, 0.1), 0.8, 1.3)),
        knees=float(rng.uniform(0.0, 0.015)),
        elbows=float(rng.normal(0.0, 5.0)),
        arms_out=float(np.clip(rng.normal(0.0, 2.0), -3.0, 5.0)),
        cadence=float(np.exp(rng.normal(0.0, 0.05))),
        style=style,
        lean=float(rng.normal(0.0, 1.5)),
        uneven=float(rng.normal(0.0, 0.12)),
        noise=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.5 else 0.0,
    )
