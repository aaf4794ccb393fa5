"""A rig of one's own, described in a small JSON or YAML file, for files whose joints cannot be guessed.

All entries are optional:

    roles: {left_hip: LeftSchenkel, ...}    which joint is which of the 22 (names in `mate.motion.skeleton.HUMANML3D.joint_names`)
    joints: [Hips, Spine, ...]              names of the joints of an array file, in its order
    parents: [-1, 0, ...]                   for each of them the index of the joint it hangs from, -1 for the root
    scale: 0.01                             metres per unit of length
    up: z                                   the axis that points up: y or z
    fps: 30                                 frames per second, for files that do not say

A BVH or AMC file brings its own joints and parents, so `roles` is mostly enough; an `.npy` or `.npz` with joints (T, J, 3) needs both.
A file that holds nothing but roles (`{"left_hip": "LeftSchenkel", ...}`) is read as `roles`. YAML is read where PyYAML is installed.
"""

import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.formats.mapping import to_humanml3d
from mate.formats.text import MAX_JOINTS, shown
from mate.motion.skeleton import HUMANML3D

_MAX_BYTES = 2**20
_ENTRIES = ("roles", "joints", "parents", "scale", "up", "fps")


@dataclass(frozen=True)
class RigFile:
    """What such a file says; see the module for its entries.

    Raises:
        MateError: joints and parents that are no tree, an unknown role, a scale, up axis or frame rate that cannot be.
    """

    roles: dict[str, str] = field(default_factory=dict)
    joints: tuple[str, ...] = ()
    parents: tuple[int, ...] = ()
    scale: float | None = None
    up: str | None = None
    fps: float | None = None
    name: str = "skeleton file"

    def __post_init__(self) -> None:
        if unknown := [role for role in self.roles if role not in HUMANML3D.joint_names]:
            raise MateError(
                f"{self.name}: the role {shown(unknown[0])}, expected one of {', '.join(HUMANML3D.joint_names)}"
            )
        if self.up not in (None, "y", "z"):
            raise MateError(f"{self.name}: got up {shown(str(self.up))}, expected y or z")
        for entry in ("scale", "fps"):
            value = getattr(self, entry)
            if value is not None and not 0 < value < math.inf:
                raise MateError(f"{self.name}: got {entry} {value}, expected a positive number")
        if len(self.joints) != len(self.parents) or len(self.joints) > MAX_JOINTS:
            raise MateError(
                f"{self.name}: {len(self.joints)} joints and {len(self.parents)} parents, expected as many of both (at most {MAX_JOINTS})"
            )
        if self.joints:
            if len(set(self.joints)) != len(self.joints):
                raise MateError(f"{self.name}: two joints of one name, expected a name for each")
            _ = self.order  # is it a tree?

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The joints' indices with every parent before its children."""
        children: dict[int, list[int]] = {}
        for joint, parent in enumerate(self.parents):
            children.setdefault(parent, []).append(joint)
        order: list[int] = []
        stack = children.get(-1, [])[:]
        if len(stack) != 1:
            raise MateError(f"{self.name}: {len(stack)} joints with parent -1, expected one root")
        while stack:
            joint = stack.pop()
            order.append(joint)
            stack += children.get(joint, [])
        if len(order) != len(self.joints):
            raise MateError(
                f"{self.name}: some joints do not hang from the root; expected parents as indices from 0 into joints"
            )
        return tuple(order)

    def to_humanml3d(self, positions: np.ndarray, fps: float, source: str) -> np.ndarray:
        """Joints (T, J, 3) of an array file -> (T, 22, 3) float32, metres, Y up, as `mapping.to_humanml3d`. Raises MateError."""
        if not self.joints:
            raise MateError(
                f"{self.name}: no joints and parents, which an array of joints needs; give their names in the array's order"
            )
        if positions.ndim != 3 or positions.shape[1:] != (len(self.joints), 3):
            raise MateError(
                f"{source}: an array of shape {positions.shape}, expected (T, {len(self.joints)}, 3) as {self.name} says"
            )
        order = list(self.order)
        place = {joint: index for index, joint in enumerate(order)}
        parents = [place[self.parents[joint]] if self.parents[joint] >= 0 else -1 for joint in order]
        names = [self.joints[joint] for joint in order]
        return to_humanml3d(
            names, parents, positions[:, order], fps, source, None, dict(self.roles), self.scale, self.up
        )


def read_rig_file(path: str | Path) -> RigFile:
    """Reads a skeleton file; `.yaml` and `.yml` as YAML, everything else as JSON.

    Raises:
        MateError: not readable, an unknown entry or one of a wrong kind, or see `RigFile`.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError("more than 1 MiB")
        content = _parsed(data.decode("utf-8-sig"), path)
    except MateError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise MateError(f"cannot read the skeleton file {path}: {error}; expected a small JSON or YAML file") from error
    if not isinstance(content, dict):
        raise MateError(f'{path}: expected an object such as {{"roles": {{"left_hip": "LeftUpLeg", ...}}}}')
    if content and all(key in HUMANML3D.joint_names for key in content):
        content = {"roles": content}
    if unknown := [str(key) for key in content if key not in _ENTRIES]:
        raise MateError(f"{path}: the entry {shown(unknown[0])}, expected {', '.join(_ENTRIES)}, or roles alone")
    return RigFile(
        roles=_texts(content.get("roles") or {}, path),
        joints=tuple(_list(content, "joints", str, path)),
        parents=tuple(_list(content, "parents", int, path)),
        scale=_number(content, "scale", path),
        up=str(content["up"]).lower() if content.get("up") is not None else None,
        fps=_number(content, "fps", path),
        name=str(path),
    )


def _parsed(text: str, path: Path) -> Any:
    if path.suffix.lower() not in (".yaml", ".yml"):
        return json.loads(text)
    try:
        import yaml
    except ImportError:
        raise MateError(f"{path}: reading YAML needs PyYAML (pip install pyyaml); or write the same as JSON") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _texts(value: Any, path: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise MateError(
            f'{path}: roles must be an object such as {{"left_hip": "LeftUpLeg", ...}}, joint names being texts'
        )
    return dict(value)


def _list(content: dict, entry: str, kind: type, path: Path) -> list[Any]:
    value = content.get(entry) or []
    if not isinstance(value, list) or not all(type(item) is kind for item in value):
        raise MateError(f"{path}: {entry} must be a list of {'names' if kind is str else 'whole numbers'}")
    return value


def _number(content: dict, entry: str, path: Path) -> float | None:
    value = content.get(entry)
    if value is None:
        return None
    if type(value) not in (int, float) or abs(value) > 1e12:
        raise MateError(f"{path}: got {entry} {shown(str(value))}, expected a number")
    return float(value)
