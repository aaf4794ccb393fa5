"""BioVision Hierarchy (BVH) files: reading. `mate.formats.bvh_writer` writes them.

Reading keeps to what the files in the field agree on: rotations are applied in the order in which the CHANNELS line names them
(parent to child, column vectors), and position channels *replace* the joint's OFFSET, axis by axis. Every defect of a file is
reported as a `MateError` with the file and the line.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mate.errors import MateError
from mate.formats import mapping as mapping_module
from mate.formats.text import MAX_COORDINATES, MAX_JOINTS, bytes_of, shown
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D

_AXES = {"x": 0, "y": 1, "z": 2}
_MAX_HEADER = 16 * 2**20  # bytes
_BLOCK = 4096  # frames that are parsed at once


@dataclass(frozen=True, eq=False)
class BvhMotion:
    """The content of one BVH file, in the file's own axes and unit of length.

    Attributes:
        names: of the J joints, parents before children; an End Site appears as a joint named `<parent>_end`.
        parents: index of each joint's parent, -1 for the root.
        offsets: (J, 3) float64, the OFFSET of each joint.
        channels: for each joint its channels in the file's order: (kind, axis) with kind "position" or "rotation", axis 0, 1, 2.
        values: (T, C) float64, the MOTION block: lengths in the file's unit, angles in degrees.
        fps: frames per second.
        name: where it came from, for messages.
        hierarchy: the file's text before MOTION, as it stands.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    channels: tuple[tuple[tuple[str, int], ...], ...]
    values: np.ndarray
    fps: float
    name: str = ""
    hierarchy: bytes = b""

    @property
    def frames(self) -> int:
        """The number of frames T."""
        return len(self.values)

    @cached_property
    def positions(self) -> np.ndarray:
        """Global positions of all joints, (T, J, 3) float64, in the file's unit. Raises MateError where that would not fit in memory."""
        joints, frames = len(self.names), self.frames
        if joints * frames * 3 > MAX_COORDINATES:
            raise MateError(
                f"{self.name}: {joints} joints x {frames} frames are too many to hold at once; cut it into shorter clips"
            )
        last_use = list(range(joints))  # of a joint's rotation: its last child
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                last_use[parent] = joint
        # Coordinates first and frames last, so that every operation runs over contiguous frames. A rotation is kept only as long
        # as a child still needs it.
        positions = np.empty((joints, 3, frames))
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # absurd lengths come out as inf or NaN, for the caller to see
            self._fill(positions, last_use)
        return np.ascontiguousarray(positions.transpose(2, 0, 1))

    def _fill(self, positions: np.ndarray, last_use: list[int]) -> None:
        """Forward kinematics into positions (J, 3, T)."""
        frames = self.frames
        rotations: dict[int, np.ndarray] = {}
        column = 0
        for joint, parent in enumerate(self.parents):
            # [i, j]: component i of the joint's local axis j in the world
            rotation = np.broadcast_to(np.eye(3)[:, :, None], (3, 3, frames)) if parent < 0 else rotations[parent]
            offset: list[float | np.ndarray] = list(self.offsets[joint])
            for k, (kind, axis) in enumerate(self.channels[joint]):
                if kind == "position":
                    offset[axis] = self.values[:, column + k]
            positions[joint] = rotation[:, 0] * offset[0] + rotation[:, 1] * offset[1] + rotation[:, 2] * offset[2]
            if parent >= 0:
                positions[joint] += positions[parent]
            if last_use[joint] > joint:
                rotation = rotation.copy()
                for k, (kind, axis) in enumerate(self.channels[joint]):
                    if kind == "rotation":
                        _turn(rotation, axis, self.values[:, column + k])
                rotations[joint] = rotation
            if parent >= 0 and last_use[parent] == joint:
                rotations.pop(parent)
            column += len(self.channels[joint])

    @cached_property
    def local_rotations(self) -> np.ndarray:
        """Rotation of every joint against its parent, (T, J, 3, 3) float64 matrices for column vectors."""
        joints, frames = len(self.names), self.frames
        if joints * frames * 9 > MAX_COORDINATES:
            raise MateError(
                f"{self.name}: {joints} joints x {frames} frames are too many to hold at once; cut it into shorter clips"
            )
        rotations = np.empty((joints, 3, 3, frames))
        rotations[:] = np.eye(3)[None, :, :, None]
        column = 0
        for joint, channels in enumerate(self.channels):
            for kind, axis in channels:
                if kind == "rotation":
                    _turn(rotations[joint], axis, self.values[:, column])
                column += 1
        return np.ascontiguousarray(rotations.transpose(3, 0, 1, 2))

    @property
    def rest_positions(self) -> np.ndarray:
        """Global positions of the joints with all rotations zero and all joints at their OFFSET, (J, 3) float64, in the file's unit."""
        positions = self.offsets.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                positions[joint] += positions[parent]
        return positions


def _turn(rotation: np.ndarray, axis: int, degrees: np.ndarray) -> None:
    """Multiplies (3, 3, T) rotations from the right by a rotation about a coordinate axis, in place."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    a, b = rotation[:, first], rotation[:, second]
    rotation[:, first], rotation[:, second] = a * cos + b * sin, b * cos - a * sin


class _Header:
    """Reads HIERARCHY token by token; every complaint carries the file and the line."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.tokens: list[tuple[str, int]] = []
        for number, line in enumerate(text.split("\n"), start=1):
            self.tokens += [(token, number) for token in line.replace("{", " { ").replace("}", " } ").split()]
        self.at = 0
        self.line = 1

    def fail(self, message: str) -> MateError:
        return MateError(f"{self.name}, line {self.line}: {message}")

    def next(self, expected: str) -> str:
        if self.at >= len(self.tokens):
            raise self.fail(f"the file ends here, expected {expected}; the file is truncated")
        token, self.line = self.tokens[self.at]
        self.at += 1
        return token

    def number(self, expected: str) -> float:
        token = self.next(expected)
        try:
            value = float(token)
        except ValueError:
            raise self.fail(f"got {shown(token)}, expected {expected}") from None
        if not math.isfinite(value):
            raise self.fail(f"got {shown(token)}, expected {expected}, a finite number")
        return value

    def joint_name(self) -> str:
        """All words up to the opening brace: some exporters write names with spaces."""
        words = []
        while (token := self.next("a joint name and '{'")) != "{":
            if token == "}":
                raise self.fail("got '}', expected a joint name and '{'")
            words.append(token)
        if not words:
            raise self.fail("got '{', expected a joint name before it")
        return " ".join(words)


def _parse_channels(header: _Header) -> tuple[tuple[str, int], ...]:
    token = header.next("the number of channels")
    if not token.isascii() or not token.isdigit() or len(token) > 1 or int(token) > 6:
        raise header.fail(f"got {shown(token)} channels, expected a number from 0 to 6")
    channels: list[tuple[str, int]] = []
    for _ in range(int(token)):
        word = header.next("a channel name")
        kind, axis = word[1:].lower(), _AXES.get(word[:1].lower())
        if kind not in ("position", "rotation") or axis is None:
            raise header.fail(
                f"got channel {shown(word)}, expected Xposition, Yposition, Zposition, Xrotation, Yrotation or Zrotation"
            )
        if (kind, axis) in channels:
            raise header.fail(f"channel {word} appears twice in one joint")
        channels.append((kind, axis))
    return tuple(channels)


def _parse_hierarchy(
    header: _Header,
) -> tuple[list[str], list[int], list[list[float]], list[tuple[tuple[str, int], ...]]]:
    if (token := header.next("HIERARCHY")).upper() != "HIERARCHY":
        raise header.fail(f"got {shown(token)}, expected HIERARCHY; this is not a BVH file")
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[tuple[str, int], ...]] = []
    open_joints: list[int] = []
    seen_offset: list[bool] = []
    seen_channels: list[bool] = []

    def add(name: str) -> None:
        if len(names) >= MAX_JOINTS:
            raise header.fail(f"more than {MAX_JOINTS} joints; this is not a body")
        names.append(name)
        parents.append(open_joints[-1] if open_joints else -1)
        offsets.append([0.0, 0.0, 0.0])
        channels.append(())
        seen_offset.append(False)
        seen_channels.append(False)
        open_joints.append(len(names) - 1)

    ends: set[int] = set()
    while True:
        token = header.next("the end of the hierarchy and MOTION" if names else "ROOT")
        word = token.upper()
        if not open_joints:
            if word == "ROOT":
                if names:
                    raise header.fail(
                        "a second ROOT; expected one skeleton in a file, split it into one file a skeleton"
                    )
                add(header.joint_name())
            elif word == "MOTION":
                if not names:
                    raise header.fail("no joints: MOTION follows HIERARCHY without a ROOT")
                return names, parents, offsets, channels
            else:
                raise header.fail(f"got {shown(token)}, expected {'MOTION' if names else 'ROOT'}")
            continue
        joint = open_joints[-1]
        if word == "OFFSET":
            if seen_offset[joint]:
                raise header.fail(f"a second OFFSET for joint {shown(names[joint])}")
            offsets[joint] = [header.number("three numbers after OFFSET") for _ in range(3)]
            seen_offset[joint] = True
        elif word == "CHANNELS" and joint not in ends:
            if seen_channels[joint]:
                raise header.fail(f"a second CHANNELS for joint {shown(names[joint])}")
            channels[joint] = _parse_channels(header)
            seen_channels[joint] = True
        elif word == "JOINT" and joint not in ends:
            add(header.joint_name())
        elif word == "END" and joint not in ends:
            header.joint_name()  # "Site", or a name that is of no use
            add(f"{names[joint]}_end")
            ends.add(len(names) - 1)
        elif token == "}":
            if not seen_offset[joint]:
                raise header.fail(f"joint {shown(names[joint])} has no OFFSET")
            open_joints.pop()
        else:
            raise header.fail(
                f"got {shown(token)} inside joint {shown(names[joint])}, expected OFFSET, CHANNELS, JOINT, End Site or '}}'"
            )


def _parse_values(lines: list[bytes], first_line: int, frames: int, width: int, name: str) -> np.ndarray:
    """The MOTION block, (frames, width) float64. `lines` starts at line number `first_line` of the file."""
    numbered = [(first_line + i, line) for i, line in enumerate(lines) if line and not line.isspace()]
    size = sum(len(line) + 1 for _, line in numbered)
    if len(numbered) != frames or 2 * frames * width > size:
        # Some writers wrap a frame over several lines. Then only the total can be checked.
        total = sum(len(line.split()) for _, line in numbered)
        if total != frames * width:
            raise MateError(
                f"{name}: the header announces {frames} frames of {width} values, the file holds {total} values on {len(numbered)} lines "
                f"({total / width:.2f} frames); the file is truncated or its header is wrong"
            )
        joined = b" ".join(line for _, line in numbered).split()
        numbered = [(first_line, b" ".join(joined[i : i + width])) for i in range(0, total, width)]
    values = np.empty((frames, width))
    for start in range(0, frames, _BLOCK):
        block = numbered[start : start + _BLOCK]
        rows = [line.split() for _, line in block]
        for i, row in enumerate(rows):
            if len(row) != width:
                where = f"{name}, line {block[i][0]} (frame {start + i})"
                raise MateError(f"{where}: {len(row)} values, expected {width}, one for each channel")
        try:
            if any(b"_" in line for _, line in block):  # Python would read 1_0 as 10
                raise ValueError
            values[start : start + len(rows)] = np.array(rows, dtype=np.float64)
        except (ValueError, OverflowError):
            for i, row in enumerate(rows):
                for token in row:
                    if not _is_number(token):
                        where = f"{name}, line {block[i][0]} (frame {start + i})"
                        got = shown(token.decode("utf-8", "replace"))
                        raise MateError(f"{where}: got {got}, expected a number") from None
            raise
        bad = ~np.isfinite(values[start : start + len(rows)]).all(axis=1)
        if bad.any():
            i = int(np.argmax(bad))
            raise MateError(
                f"{name}, line {block[i][0]} (frame {start + i}): NaN or infinite values, expected finite numbers"
            )
    return values


def _is_number(token: bytes) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return b"_" not in token


def _parse_motion_head(lines: list[bytes], first_line: int, name: str) -> tuple[int, float, int]:
    """`Frames:` and `Frame Time:` -> (frames, seconds a frame, index of the line after them)."""
    found: list[str] = []
    at = 0
    for label in ("Frames:", "Frame Time:"):
        while at < len(lines) and (not lines[at] or lines[at].isspace()):
            at += 1
        if at == len(lines):
            raise MateError(
                f"{name}, line {first_line + at}: the file ends here, expected '{label}'; the file is truncated"
            )
        line = " ".join(lines[at].decode("utf-8", "replace").split())
        if not line.lower().startswith(label.lower()):
            raise MateError(f"{name}, line {first_line + at}: got {shown(line)}, expected '{label}'")
        found.append(line[len(label) :].strip())
        at += 1
    where = f"{name}, line {first_line + at - 1}"
    if not found[0].isascii() or not found[0].isdigit() or len(found[0]) > 12:
        raise MateError(f"{name}: got 'Frames: {found[0][:40]}', expected a whole number of frames")
    if int(found[0]) == 0:
        raise MateError(f"{name}: 'Frames: 0'; expected at least one frame of motion")
    try:
        seconds = float(found[1])
    except ValueError:
        seconds = math.nan
    if not 1e-4 <= seconds <= 10:
        raise MateError(
            f"{where}: got 'Frame Time: {found[1][:40]}', expected the seconds between two frames, 0.0001 to 10, "
            "such as 0.0333333 for 30 frames per second"
        )
    return int(found[0]), seconds, at


def read_bvh(source: str | Path | bytes, name: str | None = None) -> BvhMotion:
    """Reads a BVH file as it stands: own joints, axes and unit of length.

    Args:
        source: a path, or the content as bytes or as a text with line breaks.
        name: for messages; the path by default.

    Raises:
        MateError: the file cannot be read or is not a sound BVH; the message names the file and the line.
    """
    data, name = bytes_of(source, name, "BVH")
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    motion_at = next((i for i, line in enumerate(lines) if line.strip().upper() == b"MOTION"), None)
    end = len(lines) if motion_at is None else motion_at + 1
    if sum(map(len, lines[:end])) > _MAX_HEADER:
        raise MateError(f"{name}: more than {_MAX_HEADER // 2**20} MiB before MOTION; this is not a body's hierarchy")
    header = _Header(b"\n".join(lines[:end]).decode("utf-8", "replace"), name)
    names, parents, offsets, channels = _parse_hierarchy(header)
    if motion_at is None or header.at < len(header.tokens):
        raise header.fail("expected MOTION on a line of its own after the hierarchy")
    width = sum(len(c) for c in channels)
    if width == 0:
        raise MateError(f"{name}: no joint has CHANNELS; expected rotations (and a position for the root)")
    frames, seconds, skip = _parse_motion_head(lines[end:], end + 1, name)
    values = _parse_values(lines[end + skip :], end + skip + 1, frames, width, name)
    fps = 1.0 / seconds
    if abs(fps - round(fps)) < 5e-4 * fps:  # "0.0333333" stands for 30 frames per second
        fps = float(round(fps))
    hierarchy = b"\n".join(lines[: end - 1])
    return BvhMotion(tuple(names), tuple(parents), np.array(offsets), tuple(channels), values, fps, name, hierarchy)


def load_bvh(
    source: str | Path | bytes,
    name: str | None = None,
    mapping: dict[str, str] | None = None,
    scale: float | None = None,
    up: str | None = None,
) -> Motion:
    """Reads a BVH file as a motion of the 22 HumanML3D joints, in metres, Y up, at the file's own frame rate and bone lengths.

    What the file does not say is inferred as `mate.formats.mapping` describes: which joint plays which role, the unit of length,
    the up axis, a leading rest pose, a missing floor.

    Args:
        source: a path, or the content as bytes or as a text with line breaks.
        name: for messages and as the motion's name; the file's stem by default.
        mapping: role (one of HUMANML3D.joint_names) -> name of the file's joint, for those roles that cannot be guessed.
        scale: metres per unit of length of the file; guessed from the legs by default.
        up: "y" or "z"; guessed by default.

    Raises:
        MateError: the file is not a sound BVH, a role is missing, or the result would not be a human body.
    """
    bvh = read_bvh(source, name)
    label = bvh.name
    if name is None and not isinstance(source, bytes) and "\n" not in str(source):
        name = Path(source).stem
    joints = mapping_module.to_humanml3d(
        bvh.names,
        bvh.parents,
        bvh.positions,
        bvh.fps,
        label,
        rest=bvh.rest_positions,
        mapping=mapping,
        scale=scale,
        up=up,
    )
    return Motion(joints, bvh.fps, HUMANML3D, name or "")
