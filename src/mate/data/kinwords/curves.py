"""Smooth curves over time: eases, pulses, key frames. Everything is evaluated for all frames at once."""

import numpy as np

Array = np.ndarray
DEGREE = np.pi / 180.0


def ease(u: Array) -> Array:
    """The cubic from 0 to 1 with zero velocity at both ends; `u` of any shape is clipped to [0, 1]."""
    u = np.clip(u, 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def ramp(t: Array, start: float, end: float) -> Array:
    """Rises smoothly from 0 at `start` to 1 at `end` (seconds)."""
    u = np.clip((t - start) / max(end - start, 1e-6), 0.0, 1.0)
    return u * u * u * (u * (6.0 * u - 15.0) + 10.0)


def pulse(t: Array, start: float, end: float, rise: float, fall: float | None = None) -> Array:
    """0 before `start`, 1 between `start + rise` and `end - fall`, 0 after `end`; smooth, (T,)."""
    fall = rise if fall is None else fall
    room = end - start
    if rise + fall > room:
        rise, fall = rise * room / (rise + fall), fall * room / (rise + fall)
    return ramp(t, start, start + rise) * (1.0 - ramp(t, end - fall, end))


def keys(t: Array, times: Array, values: Array, velocities: Array | None = None) -> Array:
    """Cubic Hermite curve through key frames.

    Args:
        t: (T,) seconds.
        times: (K,) increasing seconds.
        values: (K,) or (K, C).
        velocities: like `values`, per second; by default limited so that the curve never leaves the range between two neighbouring keys.
    Returns:
        (T,) or (T, C); constant before the first and after the last key.
    """
    times = np.asarray(times, float)
    values = np.asarray(values, float)
    flat = values.ndim == 1
    v = values[:, None] if flat else values
    step = np.diff(times)[:, None]
    slope = np.diff(v, axis=0) / step
    if velocities is None:
        tangent = np.zeros_like(v)
        inner = slope[:-1] * slope[1:]
        total = slope[:-1] + slope[1:]
        tangent[1:-1] = np.where(inner > 0, 2.0 * inner / np.where(total == 0, 1.0, total), 0.0)
    else:
        tangent = np.asarray(velocities, float).reshape(v.shape)
    i = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
    h = step[i]
    u = np.clip((t - times[i])[:, None] / h, 0.0, 1.0)
    u2, u3 = u * u, u * u * u
    out = (
        (2 * u3 - 3 * u2 + 1) * v[i]
        + (u3 - 2 * u2 + u) * h * tangent[i]
        + (3 * u2 - 2 * u3) * v[i + 1]
        + (u3 - u2) * h * tangent[i + 1]
    )
    return out[:, 0] if flat else out


def _held(x: Array, radius: int) -> Array:
    """x (T,) with its ends held for `radius` frames more, (T + 2 radius,); `np.pad` takes several times as long."""
    return np.concatenate([np.full(radius, x[0]), x, np.full(radius, x[-1])])


def smooth(x: Array, radius: int) -> Array:
    """Weighted running mean (Hann window of 2 radius + 1 frames) of x (T,), ends held."""
    if radius < 1:
        return x
    window = np.hanning(2 * radius + 3)[1:-1]
    return np.convolve(_held(x, radius), window / window.sum(), mode="valid")


def cover(x: Array, radius: int) -> Array:
    """A smooth curve that is nowhere below x (T,): running maximum, then running mean over the same window."""
    padded = _held(x, radius)
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1).max(axis=1)
    return smooth(highest, radius)


def integrate(rate: Array, dt: float) -> Array:
    """Trapezoid integral of rate (T,) from its first frame, (T,)."""
    out = np.zeros_like(rate)
    np.cumsum((rate[1:] + rate[:-1]) * (0.5 * dt), out=out[1:])
    return out
