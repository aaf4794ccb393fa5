"""Acclaim files (ASF skeleton, AMC motion), as CMU's motion capture database has them.

A bone of the ASF has a direction and a length in the axes of the rest pose, and axes of its own, C, in which its AMC angles are given:
its rotation against the bone before it is C M C^-1. Angles about several axes are applied in the order in which they are listed,
about fixed axes (the later one multiplies from the left). A bone's *start* is the joint that bears its name here: `lfemur` is the left hip.

Lengths are in 1/`length` inches, where `:units` says `length` (CMU: 0.45) and the legs come out human with it; else the unit is guessed
as for BVH. The AMC's `:DEGREES` or `:RADIANS` goes before the ASF's unit of angle. Neither file has a frame rate: CMU's is 120.
"""

import io
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from mate.errors import MateError
from mate.formats.mapping import guess_scale, joint_map, to_humanml3d
from mate.formats.text import MAX_COORDINATES, MAX_JOINTS, bytes_of, decimal, shown
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D

CMU_FPS = 120.0
_AXES = {"x": 0, "y": 1, "z": 2}
# CMU's forearm is two bones (radius, then "wrist"); the wrist is where the hand starts.
_CMU_ROLES = {"left_wrist": ("lwrist", "lhand"), "right_wrist": ("rwrist", "rhand")}


@dataclass
class _Bone:
    """One bone while the file is read. `dof`: its AMC values in order, ("r", axis) or, for the root, also ("t", axis)."""

    name: str = ""
    direction: np.ndarray = field(default_factory=lambda: np.zeros(3))
    length: float = 0.0
    axis: tuple[float, float, float] = (0.0, 0.0, 0.0)
    order: tuple[int, ...] = (0, 1, 2)
    dof: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, eq=False)
class AsfSkeleton:
    """The content of an ASF file.

    Attributes:
        names: of the J bones, the root first, parents before children.
        parents: index of the bone before each, -1 for the root.
        offsets: (J, 3) float64, direction times length in the file's unit; 0 for the root.
        axes: (J, 3, 3) float64, each bone's own axes C.
        dof: for each bone what its AMC line holds: (kind, axis) with kind "r" (rotation) or "t" (the root's position).
        position: (3,) float64, of the root, which the AMC's is added to.
        unit: metres per unit of length, as the file says; None where it says nothing.
        degrees: whether angles are in degrees.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    axes: np.ndarray
    dof: tuple[tuple[tuple[str, int], ...], ...]
    position: np.ndarray
    unit: float | None
    degrees: bool
    name: str = ""

    @cached_property
    def leaves(self) -> tuple[int, ...]:
        """Bones that no other hangs from: their ends become joints `<name>_end`."""
        return tuple(bone for bone in range(len(self.names)) if bone not in self.parents)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the joints of `positions`: where each bone starts, then where each leaf ends."""
        return self.names + tuple(f"{self.names[leaf]}_end" for leaf in self.leaves)

    @property
    def joint_parents(self) -> tuple[int, ...]:
        """Parents of the joints of `positions`."""
        return self.parents + self.leaves

    def positions(self, values: list[np.ndarray]) -> np.ndarray:
        """Global positions of all joints, (T, J + leaves, 3) float64 in the file's unit.

        Args:
            values: for each bone its AMC values, (T, number of its dof), angles in radians.
        """
        frames = len(values[0])
        positions = np.empty((len(self.joint_names), 3, frames))
        last_child = {parent: bone for bone, parent in enumerate(self.parents)}
        open_bones: dict[
            int, tuple[np.ndarray, np.ndarray]
        ] = {}  # rotation in the world (3, 3, T), end (3, T); while a child needs them
        # Absurd lengths come out as inf or NaN, for the caller to see.
        with np.errstate(over="ignore", invalid="ignore"):
            for bone, parent in enumerate(self.parents):
                own = np.broadcast_to(np.eye(3)[:, :, None], (3, 3, frames))
                moved = np.zeros((3, frames))
                for column, (kind, axis) in enumerate(self.dof[bone]):
                    if kind == "t":
                        moved[axis] = values[bone][:, column]
                    else:
                        own = np.einsum("ijt,jkt->ikt", _turns(axis, values[bone][:, column]), own)
                world = np.einsum("ij,jkt,lk->ilt", self.axes[bone], own, self.axes[bone])
                start = self.position[:, None] + moved
                if parent >= 0:
                    before, start = open_bones[parent]
                    world = np.einsum("ijt,jkt->ikt", before, world)
                positions[bone] = start
                end = start + np.einsum("ijt,j->it", world, self.offsets[bone])
                if bone in last_child:
                    open_bones[bone] = world, end
                else:
                    positions[len(self.names) + self.leaves.index(bone)] = end
                if parent >= 0 and last_child[parent] == bone:
                    del open_bones[parent]
        return np.ascontiguousarray(positions.transpose(2, 0, 1))


def _turns(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations (3, 3, T) about a coordinate axis by angles (T,) in radians."""
    turns = np.zeros((3, 3, len(angle)))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turns[axis, axis] = 1.0
    turns[first, first] = turns[second, second] = np.cos(angle)
    turns[second, first] = np.sin(angle)
    turns[first, second] = -turns[second, first]
    return turns


class _Reader:
    """Goes through the lines of a file that hold something; every complaint carries the file and the line."""

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self.number = 1
        self._data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def lines(self) -> Iterator[list[str]]:
        """The words of each line; comments and empty lines are left out."""
        for number, line in enumerate(io.BytesIO(self._data), start=1):
            words = line.decode("utf-8", "replace").split()
            if words and not words[0].startswith("#"):
                self.number = number
                yield words

    def fail(self, message: str) -> MateError:
        return MateError(f"{self.name}, line {self.number}: {message}")

    def numbers(self, words: list[str], count: int, what: str) -> list[float]:
        try:
            values = [decimal(word) for word in words[:count]]
        except ValueError:
            values = []
        if len(values) != count or not all(math.isfinite(value) for value in values):
            raise self.fail(f"got {shown(' '.join(words))}, expected {count} numbers for {what}")
        return values

    def order(self, word: str) -> tuple[int, ...]:
        axes = tuple(_AXES[letter] for letter in word.lower() if letter in _AXES)
        if len(word) != 3 or sorted(axes) != [0, 1, 2]:
            raise self.fail(f"got the order of axes {shown(word)}, expected XYZ or another order of these three")
        return axes


def read_asf(source: str | Path | bytes, name: str | None = None) -> AsfSkeleton:
    """Reads an ASF skeleton.

    Args:
        source: a path, or the content as bytes or as a text with line breaks.
        name: for messages; the path by default.

    Raises:
        MateError: the file cannot be read or is not a sound ASF; the message names the file and the line.
    """
    data, name = bytes_of(source, name, "ASF")
    reader = _Reader(data, name)
    section = ""
    units: dict[str, list[str]] = {}
    root = _Bone("root")
    position = [0.0, 0.0, 0.0]
    bones: dict[str, _Bone] = {}
    before: dict[str, str] = {}  # bone -> the bone it hangs from
    bone: _Bone | None = None
    for words in reader.lines():
        word, rest = words[0].lower(), words[1:]
        if word.startswith(":"):
            section = word
            continue
        if section == ":units":
            units[word] = rest
        elif section == ":root":
            if word == "order":
                root.dof = _dof(reader, rest, "rt")
            elif word == "axis" and rest:
                root.order = reader.order(rest[0])
            elif word == "position":
                position = reader.numbers(rest, 3, "the root's position")
            elif word == "orientation":
                x, y, z = reader.numbers(rest, 3, "the root's orientation")
                root.axis = (x, y, z)
        elif section == ":bonedata":
            if word == "begin":
                bone = _Bone()
            elif word == "end":
                _add(reader, bones, bone)
                bone = None
            elif bone is not None:
                _bone_line(reader, bone, word, rest)
        elif section == ":hierarchy" and word not in ("begin", "end"):
            for child in rest:
                if child not in bones:
                    raise reader.fail(f"the hierarchy names {shown(child)}, which is no bone of :bonedata")
                if child in before:
                    raise reader.fail(
                        f"{shown(child)} hangs from two bones, {shown(before[child])} and {shown(words[0])}"
                    )
                before[child] = words[0]
    if not bones:
        raise MateError(f"{name}: no bones; expected an ASF file with :root, :bonedata and :hierarchy")
    loose = [bone for bone in bones if bone not in before]
    if loose:
        raise MateError(
            f"{name}: the hierarchy lacks {', '.join(map(shown, loose[:8]))}; expected every bone to hang from one"
        )
    return _skeleton(reader, units, root, position, bones, before)


def _dof(reader: _Reader, words: list[str], kinds: str) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for word in words:
        kind, axis = word[:1].lower(), _AXES.get(word[1:].lower())
        if kind not in kinds or axis is None:
            raise reader.fail(
                f"got degree of freedom {shown(word)}, expected {'TX to TZ and ' if 't' in kinds else ''}RX, RY, RZ"
            )
        if (kind, axis) in found:
            raise reader.fail(f"degree of freedom {word} appears twice")
        found.append((kind, axis))
    return tuple(found)


def _bone_line(reader: _Reader, bone: _Bone, word: str, rest: list[str]) -> None:
    if word == "name" and rest:
        bone.name = rest[0]
    elif word == "direction":
        direction = np.array(reader.numbers(rest, 3, "a direction"))
        bone.direction = direction / max(float(np.linalg.norm(direction)), 1e-12)
    elif word == "length":
        bone.length = reader.numbers(rest, 1, "a length")[0]
    elif word == "axis":
        x, y, z = reader.numbers(rest, 3, "an axis")
        bone.axis = (x, y, z)
        if len(rest) > 3:
            bone.order = reader.order(rest[3])
    elif word == "dof":
        bone.dof = _dof(reader, rest, "r")


def _add(reader: _Reader, bones: dict[str, _Bone], bone: _Bone | None) -> None:
    if bone is None or not bone.name:
        raise reader.fail("'end' of a bone without 'begin' or without a name")
    if bone.name in bones or bone.name.lower() == "root":
        raise reader.fail(f"a second bone {shown(bone.name)}")
    if len(bones) >= MAX_JOINTS:
        raise reader.fail(f"more than {MAX_JOINTS} bones; this is not a body")
    bones[bone.name] = bone


def _skeleton(
    reader: _Reader,
    units: dict[str, list[str]],
    root: _Bone,
    position: list[float],
    bones: dict[str, _Bone],
    before: dict[str, str],
) -> AsfSkeleton:
    children: dict[str, list[str]] = {}
    for child, parent in before.items():
        children.setdefault("root" if parent.lower() == "root" else parent, []).append(child)
    names, parents, stack = ["root"], [-1], [(child, 0) for child in reversed(children.get("root", []))]
    while stack:
        child, parent = stack.pop()
        names.append(child)
        parents.append(parent)
        stack += [(grandchild, len(names) - 1) for grandchild in reversed(children.get(child, []))]
    if len(names) != len(bones) + 1:
        lost = [name for name in bones if name not in names]
        raise MateError(f"{reader.name}: {', '.join(map(shown, lost[:8]))} do not hang from the root")
    ordered = [root, *(bones[name] for name in names[1:])]
    degrees = _angle_unit(units.get("angle", ["deg"]), reader.name)
    axes = np.stack([_axes(bone, degrees) for bone in ordered])
    try:
        length = decimal(units.get("length", ["0"])[0])
    except (ValueError, IndexError):
        length = 0.0
    return AsfSkeleton(
        names=tuple(names),
        parents=tuple(parents),
        offsets=np.stack([bone.direction * bone.length for bone in ordered]),
        axes=axes,
        dof=tuple(bone.dof for bone in ordered),
        position=np.array(position),
        unit=0.0254 / length if 0 < length < math.inf else None,
        degrees=degrees,
        name=reader.name,
    )


def _axes(bone: _Bone, degrees: bool) -> np.ndarray:
    """The bone's own axes, (3, 3): its `axis` angles about fixed axes in its order."""
    angles = np.radians(bone.axis) if degrees else np.array(bone.axis)
    own = np.eye(3)
    for axis in bone.order:
        # The three numbers are listed in the order of the axes' letters.
        own = _turns(axis, angles[[bone.order.index(axis)]])[..., 0] @ own
    return own


def _angle_unit(words: list[str], name: str) -> bool:
    word = words[0].lower() if words else ""
    if not word.startswith(("deg", "rad")):
        raise MateError(f"{name}: got the unit of angle {shown(word)}, expected deg or rad")
    return word.startswith("deg")


def read_amc(source: str | Path | bytes, skeleton: AsfSkeleton, name: str | None = None) -> list[np.ndarray]:
    """The motion of an AMC file for its skeleton: for each bone (T, number of its dof) float64, angles in radians.

    Raises:
        MateError: the file cannot be read, is not a sound AMC or does not fit the skeleton; the message names the file and the line.
    """
    data, name = bytes_of(source, name, "AMC")
    reader = _Reader(data, name)
    index = {bone: i for i, bone in enumerate(skeleton.names)}
    widths = [len(dof) for dof in skeleton.dof]
    expected = sum(width > 0 for width in widths)
    columns = [array("d") for _ in widths]
    degrees, frames, seen = skeleton.degrees, 0, expected
    for words in reader.lines():
        word = words[0]
        if word.startswith(":"):
            if word.lower() in (":degrees", ":radians"):
                degrees = word.lower() == ":degrees"
        elif len(words) == 1 and word.isascii() and word.isdigit():
            if seen != expected:
                raise reader.fail(
                    f"frame {frames} holds {seen} bones, expected {expected}; it is cut or another skeleton's"
                )
            frames, seen = frames + 1, 0
            if frames * len(skeleton.joint_names) * 3 > MAX_COORDINATES:
                raise reader.fail("too many frames to hold at once; cut the file into shorter clips")
        else:
            bone = index.get("root" if word.lower() == "root" else word)
            if bone is None or not frames:
                raise reader.fail(
                    f"got {shown(word)}, expected "
                    + ("a bone of " + skeleton.name if frames else "a frame's number; this is not an AMC file")
                )
            if len(words) - 1 != widths[bone]:
                raise reader.fail(
                    f"{len(words) - 1} values for {shown(word)}, expected {widths[bone]} as in {skeleton.name}"
                )
            if len(columns[bone]) != (frames - 1) * widths[bone]:
                raise reader.fail(f"a second line for {shown(word)} in frame {frames}")
            columns[bone].extend(reader.numbers(words[1:], widths[bone], words[0]))
            seen += widths[bone] > 0
    if not frames:
        raise MateError(f"{name}: no frames; expected an AMC file with the motion of {skeleton.name}")
    if seen != expected:
        raise MateError(f"{name}: the last frame holds {seen} bones, expected {expected}; the file is truncated")
    values = [np.array(column).reshape(frames, width) for column, width in zip(columns, widths, strict=True)]
    for dof, column in zip(skeleton.dof, values, strict=True):
        angles = [i for i, (kind, _) in enumerate(dof) if kind == "r"]
        if degrees:
            column[:, angles] = np.radians(column[:, angles])
    return values


def find_asf(path: Path) -> Path:
    """The skeleton beside an AMC file: of the same stem or of its beginning (`11.asf` for `11_01.amc`), else the folder's only one.

    Raises:
        MateError: there is none, or several and none of that name.
    """
    try:
        found = sorted(other for other in path.parent.iterdir() if other.suffix.lower() == ".asf")
    except OSError as error:
        raise MateError(f"cannot read the folder {path.parent}: {error.strerror}") from error

    def begins(stem: str) -> bool:
        return path.stem == stem or (path.stem.startswith(stem) and not path.stem[len(stem)].isalnum())

    fitting = [asf for asf in found if begins(asf.stem)] or (found if len(found) == 1 else [])
    if not fitting:
        listed = f"{len(found)} of other names: {', '.join(asf.name for asf in found[:6])}" if found else "none"
        wanted = path.stem.split("_")[0]
        raise MateError(
            f"{path}: needs its ASF skeleton; in its folder there is {listed}. Put {wanted}.asf beside it or give asf="
        )
    return max(fitting, key=lambda asf: len(asf.stem))


def load_amc(
    source: str | Path | bytes,
    asf: str | Path | bytes | None = None,
    name: str | None = None,
    fps: float | None = None,
    mapping: dict[str, str] | None = None,
    scale: float | None = None,
    up: str | None = None,
) -> Motion:
    """Reads an AMC file as a motion of the 22 HumanML3D joints, in metres, Y up, with the subject's own bone lengths.

    Args:
        source: a path, or the content as bytes or as a text with line breaks.
        asf: the skeleton, likewise; by default the ASF file beside `source` (see `find_asf`).
        name: for messages and as the motion's name; the file's stem by default.
        fps: frames per second, which the files do not say; 120, CMU's, by default.
        mapping: role (one of HUMANML3D.joint_names) -> bone whose start it is, for those roles that cannot be guessed.
        scale: metres per unit of length; by default as the ASF says, else guessed from the legs.
        up: "y" or "z"; guessed by default.

    Raises:
        MateError: no skeleton, not sound files, a role is missing, or the result would not be a human body.
    """
    if fps is not None and not 0 < fps < math.inf:
        raise MateError(f"got fps {fps!r}, expected a positive number of frames per second")
    given = not isinstance(source, bytes) and "\n" not in str(source)
    if asf is None:
        if not given:
            raise MateError("an AMC file's content needs its ASF skeleton; give asf=")
        asf = find_asf(Path(str(source)))
    skeleton = read_asf(asf)
    label = name or (str(source) if given else "AMC data")
    positions = skeleton.positions(read_amc(source, skeleton, label))
    names, parents = skeleton.joint_names, skeleton.joint_parents
    roles = {role: hand for role, (wrist, hand) in _CMU_ROLES.items() if wrist in names and hand in names}
    roles |= mapping or {}
    if scale is None and skeleton.unit is not None and np.isfinite(positions).all():
        # The file's own unit, unless it is not the inch it should be of.
        joints = joint_map(names, parents, positions, label, roles).apply(positions)
        leg = np.linalg.norm(joints[0, [4, 7]] - joints[0, [1, 4]], axis=-1).sum() * skeleton.unit
        scale = skeleton.unit if 0.4 < leg < 1.5 else guess_scale(joints, label)
    zero = [np.zeros((1, len(dof))) for dof in skeleton.dof]
    joints = to_humanml3d(
        names, parents, positions, fps or CMU_FPS, label, skeleton.positions(zero)[0], roles, scale, up
    )
    return Motion(joints, fps or CMU_FPS, HUMANML3D, name or (Path(str(source)).stem if given else ""))
