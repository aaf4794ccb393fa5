"""The stage on which a program is played: the path of the root, the footsteps and layers of channels, then the joints.

Actions (gaits, gestures, postures) write onto a Stage; `Stage.joints` solves the whole clip at once.
"""

from dataclasses import dataclass, field

import numpy as np

from mate.data.kinwords.body import ARM, CANONICAL, CHANNELS, HIP_WIDTH, INDEX, SIGNS, SWAPPED, Build, solve
from mate.data.kinwords.curves import DEGREE, ease, integrate, ramp, smooth
from mate.data.kinwords.person import Person

Array = np.ndarray
FPS = 20
SIDES = ("left", "right")


@dataclass(frozen=True)
class FootMove:
    """One foot leaves the floor and lands again.

    Attributes:
        foot: 0 left, 1 right.
        lift, land: seconds.
        anchor: the time whose root pose says where the foot lands.
        height: of the ankle over its course, metres.
        toe_off, strike: angles of the foot when it leaves (heel up) and lands (toes up), radians, both positive.
        ballistic: the height follows a throw (jumps) instead of a step.
        offset: landing place relative to the usual one under the hip, (left, forward), metres.
        width: factor on the distance between the feet.
        toes: extra yaw of the landed foot, outward.
        rolling: the part of the stance before the lift in which the heel rises.
        early: exponent below 1 that moves the highest point of the swing towards its start (the heel kicking up in a run).
    """

    foot: int
    lift: float
    land: float
    anchor: float
    height: float = 0.06
    toe_off: float = 0.0
    strike: float = 0.0
    ballistic: bool = False
    offset: tuple[float, float] = (0.0, 0.0)
    width: float = 1.0
    toes: float = 0.0
    early: float = 0.85
    rolling: float = 0.45


@dataclass
class Layer:
    """Channels drawn towards values with a weight over time."""

    channels: Array
    values: Array
    weight: Array


@dataclass
class Stage:
    """What is written while a program is laid out, for frames at times t (N,).

    Attributes:
        t: seconds; 0 is the first frame that is kept.
        person: whose body; rng: for choices inside the actions.
        ahead, aside, turning: wanted velocity forward and to the left (m/s) and yaw rate (rad/s), (N,).
        jumps: (start, end, forward, left) root displacements in flight.
        base: (N, C) additive channels (gait, idle sway).
        layers: what gestures and postures do over the base, in order.
        moves: of the feet.
        tips: (angle, weight (N,)): heels kept off the floor by an angle.
        pitched: (foot, angle, weight (N,)): a foot drawn to a pitch where it stands, about its heel or its ball.
        stance: (2, 2) offsets of the first stance of each foot, (left, forward).
        spans: by action, the seconds of a part of it that only the footsteps decide.
    """

    t: Array
    person: Person
    rng: np.random.Generator
    ahead: Array = field(init=False)
    aside: Array = field(init=False)
    turning: Array = field(init=False)
    base: Array = field(init=False)
    heading: Array = field(init=False)
    root: Array = field(init=False)
    jumps: list[tuple[float, float, float, float]] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    moves: list[FootMove] = field(default_factory=list)
    airborne: list[tuple[int, Array, Array, Array]] = field(default_factory=list)
    tips: list[tuple[float, Array]] = field(default_factory=list)
    pitched: list[tuple[int, float, Array]] = field(default_factory=list)
    stance: Array = field(default_factory=lambda: np.zeros((2, 2)))
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    jitter: Array = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.t)
        self.ahead, self.aside, self.turning = np.zeros(n), np.zeros(n), np.zeros(n)
        self.base = np.zeros((n, len(CHANNELS)))
        self.jitter = np.zeros((n, len(CHANNELS)))

    def add(self, channel: str, values: Array | float) -> None:
        """Adds values (N,) to a channel of the base."""
        self.base[:, INDEX[channel]] += values

    def draw(self, weight: Array, **values: Array | float) -> None:
        """Draws named channels towards values, each (N,) or a number, with weight (N,)."""
        n = len(self.t)
        columns = [np.broadcast_to(np.asarray(v, float), (n,)) for v in values.values()]
        self.layers.append(Layer(np.array([INDEX[k] for k in values]), np.stack(columns, axis=1), weight))

    def draw_arm(self, side: str, weight: Array, values: Array) -> None:
        """Draws the arm of a side towards values (N, 5) or (5,): flex, abduct, twist, elbow, shrug."""
        span = ARM[side]
        values = np.broadcast_to(np.asarray(values, float), (len(self.t), 5))
        self.layers.append(Layer(np.arange(span.start, span.stop), values, weight))

    def plan_root(self) -> None:
        """Integrates the wanted velocities into `heading` (N,) and `root` (N, 2), both zero at t = 0."""
        dt = 1.0 / FPS
        turning = smooth(self.turning, 3)
        ahead, aside = smooth(self.ahead, 4), smooth(self.aside, 4)
        heading = integrate(turning, dt)
        zero = int(np.argmin(np.abs(self.t)))
        self.heading = heading - heading[zero]
        s, c = np.sin(self.heading), np.cos(self.heading)
        x = integrate(ahead * s + aside * c, dt)
        z = integrate(ahead * c - aside * s, dt)
        for start, end, forward, left in self.jumps:
            h = float(np.interp(start, self.t, self.heading))
            u = ramp(self.t, start, end)
            x = x + u * (forward * np.sin(h) + left * np.cos(h))
            z = z + u * (forward * np.cos(h) - left * np.sin(h))
        self.root = np.stack([x - x[zero], z - z[zero]], axis=1)

    def at(self, time: Array) -> tuple[Array, Array]:
        """Root (K, 2) and heading (K,) at times (K,)."""
        x = np.interp(time, self.t, self.root[:, 0])
        z = np.interp(time, self.t, self.root[:, 1])
        return np.stack([x, z], axis=-1), np.interp(time, self.t, self.heading)

    def feet(self) -> tuple[Array, Array, Array, Array]:
        """Flat ankles (2, N, 3), yaws, pitches and bearing (1 planted, 0 in the air), (2, N) each, from the moves."""
        n, t = len(self.t), self.t
        flat, yaws, pitches = np.zeros((2, n, 3)), np.zeros((2, n)), np.zeros((2, n))
        bearing = np.ones((2, n))
        for foot, sign in ((0, 1.0), (1, -1.0)):
            moves = sorted((m for m in self.moves if m.foot == foot), key=lambda m: m.lift)
            anchors = np.array([t[0]] + [m.anchor for m in moves])
            place, heading = self.at(anchors)
            left = sign * HIP_WIDTH * self.person.stance * np.array([1.0] + [m.width for m in moves])
            left = left + np.array([self.stance[foot, 0]] + [m.offset[0] for m in moves])
            ahead = np.array([self.stance[foot, 1]] + [m.offset[1] for m in moves]) - 0.035
            s, c = np.sin(heading), np.cos(heading)
            place = place + np.stack([left * c + ahead * s, -left * s + ahead * c], axis=-1)
            yaw = heading + sign * (self.person.toes * DEGREE + np.array([0.0] + [m.toes for m in moves]))
            if not moves:
                flat[foot, :, 0], flat[foot, :, 2], yaws[foot] = place[0, 0], place[0, 1], yaw[0]
                continue
            lift = np.array([m.lift for m in moves])
            land = np.array([m.land for m in moves])
            k = np.searchsorted(lift, t, side="right") - 1
            i = np.maximum(k, 0)
            u = np.clip((t - lift[i]) / (land[i] - lift[i]), 0.0, 1.0)
            e = ease((u - 0.03) / 0.94)  # off the floor before it goes anywhere
            bearing[foot] = np.where((k >= 0) & (u < 1), 1 - ease(u / 0.35) + ease((u - 0.65) / 0.35), 1.0)
            flat[foot, :, ::2] = place[i] + (place[i + 1] - place[i]) * e[:, None]
            yaws[foot] = yaw[i] + (yaw[i + 1] - yaw[i]) * e
            height = np.array([m.height for m in moves])[i]
            early = np.array([m.early for m in moves])[i]
            ballistic = np.array([m.ballistic for m in moves])[i]
            flat[foot, :, 1] = height * np.where(ballistic, 4 * u * (1 - u), np.sin(np.pi * u**early) ** 2)
            # Toes: off the floor with the heel up, down with the toes up, flat in between.
            off = np.array([m.toe_off for m in moves])
            strike = np.array([m.strike for m in moves])
            swing = -off[i] * (1 - ease(u / 0.8)) + strike[i] * ease((u - 0.35) / 0.65)
            swing -= 0.5 * off[i] * np.sin(np.pi * np.clip(u / 0.7, 0, 1)) ** 2
            nxt = np.minimum(k + 1, len(moves) - 1)
            before = np.where(k + 1 < len(moves), lift[nxt] - t, np.inf)
            stance_start = np.where(k >= 0, land[i], -np.inf)
            rise = np.clip(np.array([m.rolling for m in moves])[nxt] * (lift[nxt] - stance_start), 0.08, 0.32)
            falling = np.where(k >= 0, strike[i] * (1 - ease((t - land[i]) / 0.12)), 0.0)
            stance = falling - off[nxt] * ease(1 - before / rise) ** 1.0
            pitches[foot] = np.where((k >= 0) & (t < land[i]), swing, stance)
        for angle, weight in self.tips:
            pitches = pitches + weight * (np.minimum(pitches, -angle) - pitches)
        for foot, angle, weight in self.pitched:
            pitches[foot] += weight * (angle - pitches[foot])
        return flat, yaws, pitches, bearing

    def joints(self, build: Build = CANONICAL, mirror: bool = False) -> Array:
        """Joints (N, 22, 3) of a build, float64; of the mirror image, its feet planted anew. Call `plan_root` first."""
        channels = self.base.copy()
        for layer in self.layers:
            w = layer.weight[:, None]
            channels[:, layer.channels] = channels[:, layer.channels] * (1 - w) + layer.values * w
        channels += self.jitter
        flat, yaw, pitch, bearing = self.feet()
        s, c = np.sin(self.heading), np.cos(self.heading)
        for foot, weight, where, angle in self.airborne:
            x = self.root[:, 0] + where[:, 0] * c + where[:, 2] * s
            z = self.root[:, 1] - where[:, 0] * s + where[:, 2] * c
            target = np.stack([x, where[:, 1], z], axis=-1)
            flat[foot] += weight[:, None] * (target - flat[foot])
            pitch[foot] += weight * (angle - pitch[foot])
            bearing[foot] *= 1 - weight
        root, heading = self.root, self.heading
        if mirror:
            # Another solution, not swapped joints: left and right bones of a skeleton differ by some millimetres.
            channels = channels[:, SWAPPED] * SIGNS
            flat, yaw, pitch, bearing = flat[::-1] * (-1.0, 1.0, 1.0), -yaw[::-1], pitch[::-1], bearing[::-1]
            root, heading = root * (-1.0, 1.0), -heading
        return solve(channels, root, heading, flat, yaw, pitch, bearing, build)
