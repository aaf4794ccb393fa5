"""The motion of an animated GLB or VRM file: the nodes of its skin, moved by its first animation.

Read are the node tree, the first skin's joints (all nodes where there is no skin) and the first animation, in all three interpolations.
A VRM file says which node is which bone of a human; there those names are taken. Everything is checked before it is used: a damaged file is
a `MateError`, never more memory than the file deserves.

Source: glTF 2.0 specification (Khronos Group), sections 3.6 (accessors), 3.11 (animations); VRM 0.x and 1.0 (`humanBones`).
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.formats import mapping as mapping_module
from mate.formats.text import MAX_COORDINATES, MAX_JOINTS, bytes_of
from mate.motion.motion import Motion
from mate.motion.rotations import quaternion_to_matrix
from mate.motion.skeleton import HUMANML3D

_TYPES = {
    5120: np.dtype("i1"),
    5121: np.dtype("u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5126: np.dtype("<f4"),
}
_WIDTH = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_PATHS = {"translation": 3, "rotation": 4, "scale": 3}
_MAX_JSON = 64 * 2**20  # bytes
_FPS = 30.0  # where the keys do not lie evenly
_LONGEST = 4 * 3600  # seconds


def load_glb(
    path: str | Path,
    fps: float | None = None,
    mapping: dict[str, str] | None = None,
    scale: float | None = None,
    up: str | None = None,
) -> Motion:
    """Reads an animated GLB (or VRM) as a motion of the 22 HumanML3D joints, in metres, Y up, with the body's own bone lengths.

    Args:
        fps: frames per second at which the animation is sampled; by default those of its keys, or 30 where they do not lie evenly.
        mapping, scale, up: as in `mate.formats.bvh.load_bvh`.

    Raises:
        MateError: not a sound GLB, no animation, a role is missing, or the result would not be a human body.
    """
    data, name = bytes_of(path, None, "GLB")
    try:
        file = _Glb(data, name)
        names, parents, nodes = file.tree()
        places = file.sampled(nodes, fps)
        positions = _positions(places, parents)
        rest = _positions([_Place(place.rest, place.rest[None]) for place in places], parents)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise MateError(f"{name}: not a sound GLB file ({type(error).__name__}: {str(error)[:80]})") from error
    joints = mapping_module.to_humanml3d(
        names, parents, positions, file.fps, name, rest=rest[0], mapping=mapping, scale=scale, up=up
    )
    return Motion(joints, file.fps, HUMANML3D, Path(path).stem)


class _Place:
    """Where a node is on its parent: at rest (4, 4) and over time (T or 1, 4, 4)."""

    def __init__(self, rest: np.ndarray, moving: np.ndarray) -> None:
        self.rest, self.moving = rest, moving


class _Glb:
    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self.fps = _FPS
        magic, version, length = struct.unpack_from("<4sII", data) if len(data) >= 20 else (b"", 0, 0)
        if magic != b"glTF" or version != 2:
            raise MateError(f"{name}: not a GLB file of version 2; export the scene as glTF binary (.glb)")
        size, kind = struct.unpack_from("<I4s", data, 12)
        if kind != b"JSON" or length != len(data) or size > min(_MAX_JSON, len(data) - 20):
            raise MateError(
                f"{name}: {len(data)} bytes where its header tells of {length}; the file is damaged or cut short"
            )
        self.json: dict[str, Any] = json.loads(data[20 : 20 + size])
        if not isinstance(self.json, dict):
            raise ValueError("no object of JSON")
        start = 20 + size
        self.binary = b""
        if len(data) >= start + 8:
            size, kind = struct.unpack_from("<I4s", data, start)
            if kind != b"BIN\0" or start + 8 + size > len(data):
                raise MateError(f"{name}: a binary part of {size} bytes that is not there; the file is cut short")
            self.binary = data[start + 8 : start + 8 + size]

    def tree(self) -> tuple[list[str], list[int], list[int]]:
        """Names and parents of the nodes that matter, parents first, and their numbers in the file."""
        nodes = self.json["nodes"]
        above: dict[int, int] = {}
        for number, node in enumerate(nodes):
            for child in node.get("children", []):
                if child in above or not 0 <= child < len(nodes):
                    raise ValueError(f"node {child} has two parents or is not there")
                above[child] = number
        skins = self.json.get("skins") or []
        wanted = set(skins[0]["joints"] if skins else range(len(nodes)))
        for number in list(wanted):
            steps = 0
            while number in above:
                number = above[number]
                wanted.add(number)
                steps += 1
                if steps > len(nodes):
                    raise ValueError("nodes that hang from themselves")
        if len(wanted) > MAX_JOINTS:
            raise MateError(f"{self.name}: {len(wanted)} joints; expected one body of at most {MAX_JOINTS}")
        order: list[int] = []
        stack = sorted((number for number in wanted if number not in above), reverse=True)
        if len(stack) > 1:  # several scenes or props: the tree with the most joints is the body
            stack = [max(stack, key=lambda top: self._size(top, wanted))]
        while stack:
            number = stack.pop()
            order.append(number)
            stack += [child for child in reversed(nodes[number].get("children", [])) if child in wanted]
        if not order:
            raise ValueError("no nodes")
        place = {number: index for index, number in enumerate(order)}
        bones = self._human_bones()
        names = [bones.get(number) or str(nodes[number].get("name") or f"node {number}") for number in order]
        return names, [place.get(above.get(number, -1), -1) for number in order], order

    def _size(self, top: int, wanted: set[int]) -> int:
        stack, count = [top], 0
        while stack:
            number = stack.pop()
            count += 1
            stack += [child for child in self.json["nodes"][number].get("children", []) if child in wanted]
        return count

    def _human_bones(self) -> dict[int, str]:
        """Node -> VRM's name of the bone."""
        extensions = self.json.get("extensions") or {}
        if "VRMC_vrm" in extensions:
            bones = extensions["VRMC_vrm"]["humanoid"]["humanBones"]
            return {int(bone["node"]): str(name) for name, bone in bones.items()}
        if "VRM" in extensions:
            return {int(bone["node"]): str(bone["bone"]) for bone in extensions["VRM"]["humanoid"]["humanBones"]}
        return {}

    def array(self, index: int) -> np.ndarray:
        """An accessor's numbers, (count, width) float64."""
        accessor = self.json["accessors"][index]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise MateError(f"{self.name}: a sparse accessor in the animation; export it without compression")
        view = self.json["bufferViews"][accessor["bufferView"]]
        if view.get("extensions") or self.json["buffers"][view["buffer"]].get("uri") is not None:
            raise MateError(f"{self.name}: compressed or external data; export one .glb without compression")
        dtype, width, count = _TYPES[accessor["componentType"]], _WIDTH[accessor["type"]], int(accessor["count"])
        stride = view.get("byteStride") or dtype.itemsize * width
        start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
        if count < 1 or start < 0 or stride < dtype.itemsize * width:
            raise ValueError("an accessor of nothing")
        if start + stride * (count - 1) + dtype.itemsize * width > len(self.binary):
            raise MateError(f"{self.name}: an animation beyond the end of the file; it is cut short")
        raw = np.ndarray((count, width), dtype, self.binary, start, (stride, dtype.itemsize))
        values = raw.astype(np.float64)
        if accessor.get("normalized") and dtype.kind in "iu":
            values = np.maximum(values / np.iinfo(dtype).max, -1.0)
        if not np.isfinite(values).all():
            raise MateError(f"{self.name}: NaN or infinite numbers in the animation")
        return values

    def sampled(self, nodes: list[int], fps: float | None) -> list[_Place]:
        """The nodes' transforms at even times; sets `fps`."""
        animations = self.json.get("animations") or []
        if not animations:
            raise MateError(f"{self.name}: no animation; expected a file with one, such as `mate export` writes")
        tracks: dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]] = {}
        for channel in animations[0]["channels"]:
            target = channel["target"]
            if target.get("node") not in nodes or target["path"] not in _PATHS:
                continue
            sampler = animations[0]["samplers"][channel["sampler"]]
            times = self.array(sampler["input"])[:, 0]
            values = self.array(sampler["output"])
            how = sampler.get("interpolation", "LINEAR")
            each = 3 if how == "CUBICSPLINE" else 1
            if values.shape != (len(times) * each, _PATHS[target["path"]]) or (np.diff(times) <= 0).any():
                raise ValueError("keys and values that do not fit")
            tracks[target["node"], target["path"]] = times, values, how
        if not tracks:
            raise MateError(f"{self.name}: the animation moves no joint of the body")
        first = min(times[0] for times, _, _ in tracks.values())
        last = max(times[-1] for times, _, _ in tracks.values())
        if last - first > _LONGEST:
            raise MateError(f"{self.name}: an animation of {last - first:g} s, expected one motion; cut it")
        longest = max((times for times, _, _ in tracks.values()), key=len)
        self.fps = fps or _rate(longest)
        count = int(np.floor((last - first) * self.fps + 1e-3)) + 1
        if count * len(nodes) * 3 > MAX_COORDINATES:
            raise MateError(f"{self.name}: {len(nodes)} joints x {count} frames are too many to hold at once")
        grid = np.minimum(first + np.arange(count) / self.fps, last)
        return [self._place(number, tracks, grid) for number in nodes]

    def _place(
        self, number: int, tracks: dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]], grid: np.ndarray
    ) -> _Place:
        node = self.json["nodes"][number]
        if "matrix" in node:
            rest = np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
            return _Place(rest, rest[None])

        def values(path: str, rest: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
            still = np.array(node.get(path, rest), dtype=np.float64).reshape(1, len(rest))
            return still, _track(*tracks[number, path], grid) if (number, path) in tracks else still

        where = values("translation", (0.0, 0.0, 0.0))
        turn = values("rotation", (0.0, 0.0, 0.0, 1.0))
        size = values("scale", (1.0, 1.0, 1.0))
        return _Place(_matrix(where[0], turn[0], size[0])[0], _matrix(where[1], turn[1], size[1]))


def _rate(times: np.ndarray) -> float:
    """Frames per second of even keys."""
    steps = np.diff(times)
    if not len(steps):
        return _FPS
    rate = len(steps) / (times[-1] - times[0])
    if not 1 <= rate <= 1000 or np.abs(steps * rate - 1).max() > 0.05:
        return _FPS
    return float(round(rate)) if abs(rate - round(rate)) < 1e-3 * rate else float(rate)


def _track(times: np.ndarray, values: np.ndarray, how: str, grid: np.ndarray) -> np.ndarray:
    """A sampler's values at the times `grid`, (T, 3 or 4)."""
    after = np.clip(np.searchsorted(times, grid, side="right"), 1, max(len(times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    span = np.maximum(times[after] - times[before], 1e-9)
    t = np.clip((grid - times[before]) / span, 0.0, 1.0)[:, None]
    if how == "STEP":
        # A key holds from its own time on, the last one too.
        return values[np.clip(np.searchsorted(times, grid + 1e-6, side="right") - 1, 0, None)]
    if how == "CUBICSPLINE":
        into, at, out = values[0::3], values[1::3], values[2::3]
        d = span[:, None]
        return (
            (2 * t**3 - 3 * t**2 + 1) * at[before]
            + (t**3 - 2 * t**2 + t) * d * out[before]
            + (3 * t**2 - 2 * t**3) * at[after]
            + (t**3 - t**2) * d * into[after]
        )
    a, b = values[before], values[after]
    if values.shape[1] == 3:
        return a + (b - a) * t
    cosine = (a * b).sum(-1, keepdims=True)
    b = np.where(cosine < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    sine = np.sin(angle)
    near = sine < 1e-6
    sine = np.where(near, 1.0, sine)
    first, second = np.sin((1 - t) * angle) / sine, np.sin(t * angle) / sine
    return np.where(near, a + (b - a) * t, first * a + second * b)


def _matrix(translation: np.ndarray, rotation: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(T or 1, 4, 4) of translations, quaternions x, y, z, w and scales, each (T or 1, 3 or 4)."""
    length = np.linalg.norm(rotation, axis=-1, keepdims=True)
    if not (length > 1e-9).all():
        raise ValueError("a rotation without length")
    turn = quaternion_to_matrix((rotation / length)[:, [3, 0, 1, 2]])
    frames = max(len(translation), len(rotation), len(scale))
    matrix = np.zeros((frames, 4, 4))
    matrix[:, :3, :3] = turn * scale[:, None, :]
    matrix[:, :3, 3] = translation
    matrix[:, 3, 3] = 1.0
    return matrix


def _positions(places: list[_Place], parents: list[int]) -> np.ndarray:
    """Global positions (T, J, 3)."""
    frames = max(len(place.moving) for place in places)
    positions = np.empty((frames, len(places), 3))
    world: list[np.ndarray] = []
    with np.errstate(over="ignore", invalid="ignore"):  # absurd numbers come out as inf or NaN, for the caller to see
        for joint, (place, parent) in enumerate(zip(places, parents, strict=True)):
            world.append(place.moving if parent < 0 else world[parent] @ place.moving)
            positions[:, joint] = world[joint][:, :3, 3]
    return positions
