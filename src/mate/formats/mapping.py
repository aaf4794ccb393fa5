"""From any body rig to the 22 joints of HumanML3D: which joint plays which role, and what a file leaves unsaid.

Roles. The ends of the limbs (hips, knees, ankles, shoulders, elbows, wrists, head) are found by name; the trunk follows from the tree:

- A rig with SMPL's own joint names is taken as it is. In all others:
- pelvis: the last common ancestor of both hips and the head (or the nearest joint above it that is called pelvis or hips).
- spine3: the last common ancestor of both shoulders and the head (its parent where that is called neck).
- spine1, spine2: of the joints between them, the first, and the one nearest the middle of the rest. A rig with fewer spine joints gets
  the missing ones on the straight line between its neighbours (one missing: half way; more: at the distances of HumanML3D's skeleton).
- neck, collars: the first joint on the way from spine3 to the head or the shoulder that does not lie on either of them; else a point
  on that line, divided as in HumanML3D's skeleton.
- foot (the ball of the foot): a toe joint; else the End Site of the foot; else a point ahead of the ankle, at right angles to the shin.
- head and wrist: a joint of that name; else the End Site of the neck or the forearm.

Unit of length. Of metres, centimetres, millimetres, inches and CMU's 1/0.45 inch the one that makes the legs most human.

Up axis. Z where the body stands along Z and either the rest pose does too or the ankles are near z = 0 beneath the hips; Y otherwise.

Frames and floor. A first frame from which the body jumps at more than 15 m/s, unlike anything later, is a rest pose and dropped.
Heights are the file's own, with two exceptions: a body whose feet are below -0.25 m (its hips were recorded about height 0) is
raised until its lowest foot is at 0; a body that is carried by a root joint on the ground, its pelvis at one exact height above,
so that its rise and fall was lost, is set on its lower foot in every frame (smoothed over 0.1 s).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mate.errors import MateError
from mate.motion.skeleton import HUMANML3D

_CANONICAL_LEG = HUMANML3D.bone_lengths[4] + HUMANML3D.bone_lengths[7]
# metres per unit -> cost in log units: centimetres and metres are what most files use
_UNITS = {1.0: 0.0, 0.01: 0.0, 0.001: 0.1, 0.0254: 0.3, 0.0254 / 0.45: 0.3}

# Names of the limbs' joints without side, best first. What "leg", "foot", "shoulder" or "hand" mean depends on which others are
# there: a foot beside an ankle is the ball of the foot, a shoulder beside an upper arm is the collar.
_NAMES = {
    "hip": ("upleg", "upperleg", "thigh", "thighbend", "femur", "hip"),
    "knee": ("lowleg", "lowerleg", "shin", "calf", "tibia", "knee", "leg"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "toe0", "ball", "foot"),
    "shoulder": ("upperarm", "uparm", "shldr", "shldrbend", "humerus", "arm", "shoulder"),
    "elbow": ("lowerarm", "lowarm", "forearm", "forearmbend", "radius", "elbow"),
    "wrist": ("wrist", "hand"),
}
_PELVIS = ("pelvis", "hips", "hip")
_SIDES = {"left": "left", "l": "left", "lft": "left", "right": "right", "r": "right", "rgt": "right"}
# Leading words that say nothing about the joint: rig or exporter prefixes.
_PREFIXES = {
    "mixamorig", "cc", "base", "rl", "bip", "biped", "valvebiped", "def", "org", "j", "jnt", "joint", "character", "skeleton", "m", "f",
    "avg", "b", "bone", "rig", "c", "center",
}  # fmt: skip
_LIMB_WORDS = {word for words in _NAMES.values() for word in words}


@dataclass(frozen=True)
class JointMap:
    """How the 22 joints are made from a rig's J joints.

    Attributes:
        weights: (22, J) float64; each canonical joint is this combination of the rig's joints (mostly one 1; two where interpolated).
        made_feet: of "left" and "right" those whose ball of the foot the rig lacks.
    """

    weights: np.ndarray
    made_feet: tuple[str, ...] = ()

    def apply(self, positions: np.ndarray) -> np.ndarray:
        """(T, J, 3) -> (T, 22, 3), both in the rig's axes and unit."""
        used = np.flatnonzero(self.weights.any(axis=0))
        joints = np.einsum("kj,tjc->tkc", self.weights[:, used], positions[:, used])
        for side in self.made_feet:
            hip, knee, ankle, foot = (HUMANML3D.index(f"{side}_{role}") for role in ("hip", "knee", "ankle", "foot"))
            shin = joints[:, ankle] - joints[:, knee]
            leg = np.median(np.linalg.norm(shin, axis=1) + np.linalg.norm(joints[:, knee] - joints[:, hip], axis=1))
            joints[:, foot] = joints[:, ankle] + _foot_direction(joints, shin) * (
                leg * HUMANML3D.bone_lengths[foot] / _CANONICAL_LEG
            )
        return joints


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _foot_direction(joints: np.ndarray, shin: np.ndarray) -> np.ndarray:
    """(T, 3): ahead of the body, at right angles to the shin."""
    across = joints[:, 1] - joints[:, 2]  # to the left
    forward = np.cross(across, joints[:, HUMANML3D.index("spine3")] - joints[:, 0])
    shin = _unit(shin)
    return _unit(forward - (forward * shin).sum(-1, keepdims=True) * shin)


def _split(name: str) -> tuple[str, str]:
    """A joint's name -> (side or "", bare name): mixamorig:LeftUpLeg -> (left, upleg)."""
    bare = re.split(r"[:|]", name)[-1]
    tokens = [t.lower() for t in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", bare)]
    side = ""
    kept: list[str] = []
    for token in tokens:
        if token in _SIDES and not side:
            side = _SIDES[token]
        elif kept or not (token in _PREFIXES or (token.isdigit() and not side)):
            kept.append(token)
    core = "".join(kept)
    if not side:  # "lfemur", "leftupleg"
        for prefix in ("left", "right", "l", "r"):
            if core.startswith(prefix) and core[len(prefix) :] in _LIMB_WORDS:
                return _SIDES[prefix], core[len(prefix) :]
    return side, core


def _path(parents: Sequence[int], joint: int) -> list[int]:
    """From the root down to `joint`."""
    path = [joint]
    while parents[path[-1]] >= 0:
        path.append(parents[path[-1]])
    return path[::-1]


def _common(parents: Sequence[int], joints: Sequence[int]) -> int:
    paths = [_path(parents, joint) for joint in joints]
    common = paths[0][0]
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        common = level[0]
    return common


def _between(parents: Sequence[int], top: int, bottom: int) -> list[int]:
    """Joints on the way from `top` down to `bottom`, without both; empty where `bottom` is not below `top`."""
    path = _path(parents, bottom)
    return path[path.index(top) + 1 : -1] if top in path else []


def _named(names: Sequence[str]) -> dict[str, int]:
    """Roles that the names give away: limbs and head."""
    first: dict[tuple[str, str], int] = {}
    for joint, name in enumerate(names):
        first.setdefault(_split(name), joint)
    found: dict[str, int] = {}
    for side in ("left", "right"):
        for role, words in _NAMES.items():
            taken = {found.get(f"{side}_{r}") for r in _NAMES}
            candidates = [
                first[side, word] for word in words if (side, word) in first and first[side, word] not in taken
            ]
            if candidates:
                found[f"{side}_{role}"] = candidates[0]
    if ("", "head") in first:
        found["head"] = first["", "head"]
    canonical = {role: _split(role) for role in HUMANML3D.joint_names}
    if all(bare in first for bare in canonical.values()):  # SMPL's own names: nothing to guess
        return {role: first[bare] for role, bare in canonical.items()}
    return found


def _listed(names: Sequence[str], limit: int = 60) -> str:
    shown = ", ".join(name[:40] for name in names[:limit])
    return shown + (f", ... ({len(names)} in all)" if len(names) > limit else "")


def joint_map(
    names: Sequence[str],
    parents: Sequence[int],
    positions: np.ndarray,
    source: str,
    mapping: dict[str, str] | None = None,
) -> JointMap:
    """Finds the 22 roles in a rig.

    Args:
        names: of the J joints; an End Site is named `<parent>_end`.
        parents: index of the parent, -1 for the root; parents come first.
        positions: (T, J, 3), to tell which joints coincide.
        source: for messages.
        mapping: role (one of HUMANML3D.joint_names) -> joint name; overrides the guess.

    Raises:
        MateError: a role cannot be found, or `mapping` names an unknown role or joint.
    """
    roles = _named(names)
    for role, joint in (mapping or {}).items():
        if role not in HUMANML3D.joint_names:
            raise MateError(
                f"{source}: the mapping names the role {role!r}, expected one of {', '.join(HUMANML3D.joint_names)}"
            )
        if joint not in names:
            raise MateError(
                f"{source}: the mapping gives {role} the joint {joint!r}, which is not in the file: {_listed(names)}"
            )
        roles[role] = names.index(joint)

    sample = positions[:: max(1, len(positions) // 200)]

    def distance(a: int, b: int) -> float:
        return float(np.median(np.linalg.norm(sample[:, a] - sample[:, b], axis=-1)))

    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(parents):
        children.setdefault(parent, []).append(joint)

    def end_of(joint: int) -> int | None:
        for child in children.get(joint, []):
            if names[child] == f"{names[joint]}_end" and distance(child, joint) > 0:
                return child
        return None

    for side in ("left", "right"):
        if (
            f"{side}_wrist" not in roles
            and f"{side}_elbow" in roles
            and (end := end_of(roles[f"{side}_elbow"])) is not None
        ):
            roles[f"{side}_wrist"] = end
    if "head" not in roles:
        neck = roles.get("neck", next((j for j, name in enumerate(names) if _split(name) == ("", "neck")), None))
        if neck is not None and (end := end_of(neck)) is not None:
            roles["head"] = end

    required = [f"{side}_{role}" for role in _NAMES if role != "foot" for side in ("left", "right")] + ["head"]
    missing = [role for role in required if role not in roles]
    if missing:
        raise MateError(
            f"{source}: no joint found for {', '.join(missing)}; the file's joints are {_listed(names)}. "
            "Give a mapping from these roles to the file's joint names (a skeleton file)"
        )

    for side in ("left", "right"):
        for upper, lower in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            a, b = roles[f"{side}_{upper}"], roles[f"{side}_{lower}"]
            if a == b or a not in _path(parents, b):
                raise MateError(
                    f"{source}: the {side} {lower} ({names[b]}) does not hang from the {side} {upper} ({names[a]}); "
                    f"the file's joints are {_listed(names)}. Give a mapping from roles to the file's joint names (a skeleton file)"
                )

    leg = distance(roles["left_hip"], roles["left_knee"]) + distance(roles["left_knee"], roles["left_ankle"])
    near = 0.02 * leg
    weights = np.zeros((HUMANML3D.joints, len(names)))

    def put(role: str, joint: int) -> None:
        weights[HUMANML3D.index(role), joint] = 1.0
        roles[role] = joint

    def put_between(role: str, a: int, b: int, fraction: float) -> None:
        row = weights[HUMANML3D.index(role)]
        row[a] += 1 - fraction
        row[b] += fraction

    def length(role: str) -> float:
        return HUMANML3D.bone_lengths[HUMANML3D.index(role)]

    for role in required:
        put(role, roles[role])

    if "pelvis" not in roles:
        pelvis = _common(parents, [roles["left_hip"], roles["right_hip"], roles["head"]])
        above = [joint for joint in _path(parents, pelvis) if _split(names[joint]) in [("", word) for word in _PELVIS]]
        roles["pelvis"] = above[-1] if above else pelvis
    put("pelvis", roles["pelvis"])

    if "spine3" not in roles:
        chest = _common(parents, [roles["left_shoulder"], roles["right_shoulder"], roles["head"]])
        if _split(names[chest])[1].startswith("neck") and chest != roles["pelvis"] and parents[chest] >= 0:
            chest = parents[chest]
        roles["spine3"] = chest
    pelvis, chest = roles["pelvis"], roles["spine3"]

    def inner(top: int, bottom: int) -> list[int]:
        """Joints between two others that coincide with neither."""
        return [j for j in _between(parents, top, bottom) if distance(j, top) > near and distance(j, bottom) > near]

    # The neck first: a rig without a chest needs it.
    if "neck" in roles:
        put("neck", roles["neck"])
    elif between := inner(chest, roles["head"]):
        put("neck", between[0])
    else:
        put_between("neck", chest, roles["head"], length("neck") / (length("neck") + length("head")))
    neck_row = weights[HUMANML3D.index("neck")]

    if distance(pelvis, chest) <= near:  # no joint between the pelvis and the shoulders at all
        spine = np.cumsum([length(role) for role in ("spine1", "spine2", "spine3", "neck")])
        if distance(pelvis, roles["head"]) <= near:
            raise MateError(
                f"{source}: the head lies on the pelvis; the file's joints are {_listed(names)}. "
                "Give a mapping from roles to the file's joint names (a skeleton file)"
            )
        if "neck" not in roles:
            neck_row[:] = 0.0
            put_between("neck", pelvis, roles["head"], spine[3] / (spine[3] + length("head")))
        for role, reach in zip(("spine1", "spine2", "spine3"), spine[:3] / spine[3], strict=True):
            if role in (mapping or {}):
                put(role, roles[role])
            else:
                weights[HUMANML3D.index(role)] = reach * neck_row
                weights[HUMANML3D.index(role), pelvis] += 1 - reach
    else:
        put("spine3", chest)
        between = inner(pelvis, chest)
        spine = np.cumsum([length(role) for role in ("spine1", "spine2", "spine3")])
        if "spine1" not in roles and between:
            roles["spine1"] = between[0]
        if "spine1" in roles:
            put("spine1", roles["spine1"])
        else:
            put_between("spine1", pelvis, chest, spine[0] / spine[2])
        lower = roles.get("spine1", pelvis)
        if "spine2" not in roles and "spine1" in roles:
            rest = [j for j in between if j in _between(parents, lower, chest) and distance(j, lower) > near]
            if rest:
                roles["spine2"] = min(rest, key=lambda j: abs(distance(j, lower) - distance(j, chest)))
        if "spine2" in roles:
            put("spine2", roles["spine2"])
        elif "spine1" in roles:
            put_between("spine2", lower, chest, 0.5)
        else:
            put_between("spine2", pelvis, chest, spine[1] / spine[2])

    chest_row = weights[HUMANML3D.index("spine3")]
    for side in ("left", "right"):
        collar, shoulder, foot = f"{side}_collar", roles[f"{side}_shoulder"], f"{side}_foot"
        top = chest if chest in _path(parents, shoulder) else _common(parents, [chest, shoulder])
        if collar in roles:
            put(collar, roles[collar])
        elif between := [j for j in inner(top, shoulder) if not _split(names[j])[1].startswith("neck")]:
            put(collar, between[0])
        else:
            fraction = length(collar) / (length(collar) + length(f"{side}_shoulder"))
            weights[HUMANML3D.index(collar)] = (1 - fraction) * chest_row
            weights[HUMANML3D.index(collar), shoulder] += fraction
        ankle = roles[f"{side}_ankle"]
        if foot in roles and distance(roles[foot], ankle) <= near:
            del roles[foot]
        if foot not in roles and (end := end_of(ankle)) is not None and distance(end, ankle) > near:
            roles[foot] = end
        if foot in roles:
            put(foot, roles[foot])
    made = tuple(side for side in ("left", "right") if f"{side}_foot" not in roles)
    return JointMap(weights, made)


def guess_scale(joints: np.ndarray, source: str) -> float:
    """Metres per unit of length, from the legs of (T, 22, 3) joints. Raises MateError where no unit makes them human."""
    bones = np.linalg.norm(joints[:, [4, 7, 5, 8]] - joints[:, [1, 4, 2, 5]], axis=-1)
    leg = float(np.median(bones.sum(axis=1)) / 2)
    mismatch = {unit: abs(float(np.log(max(leg, 1e-12) * unit / _CANONICAL_LEG))) for unit in _UNITS}
    unit = min(_UNITS, key=lambda unit: mismatch[unit] + _UNITS[unit])
    if not mismatch[unit] < np.log(2):
        raise MateError(
            f"{source}: legs of {leg:.4g} units are not human in metres, centimetres, millimetres or inches; "
            "give the scale (metres per unit)"
        )
    return unit


def guess_up(joints: np.ndarray, rest: np.ndarray | None, default: str = "y") -> str:
    """The up axis, y or z, for (T, 22, 3) joints and, where known, their (22, 3) rest pose, by the rule above.

    With `default="z"` the other way round: Z unless the body stands along Y with its ankles near y = 0.
    """

    def along(pose: np.ndarray) -> np.ndarray:
        return _unit(pose[..., 15, :] - pose[..., [7, 8], :].mean(axis=-2))

    axis, other = (2, 1) if default == "y" else (1, 2)
    mean = along(joints).mean(axis=0)
    if not (mean[axis] > 0.7 and mean[axis] > abs(mean[other])):
        return default
    if rest is not None and along(rest)[axis] > 0.9:
        return "yz"[axis - 1]
    leg = np.linalg.norm(joints[:, [4, 7]] - joints[:, [1, 4]], axis=-1).sum(axis=1).mean()
    ankles = np.percentile(joints[:, [7, 8], axis].min(axis=1), 5)
    hips = np.median(joints[:, 0, axis])
    return "yz"[axis - 1] if abs(ankles) < 0.3 * leg and 0.5 * leg < hips < 1.5 * leg else default


def upright(joints: np.ndarray) -> np.ndarray:
    """Joints (T, 22, 3) in metres of a body in some world -> Y up: a Z-up world is turned, one that hangs head down (a camera's, Y down)
    is turned half round about X; feet below -0.25 m come up to 0."""
    if guess_up(joints, None) == "z":
        joints = turned_up(joints)
    elif _unit(joints[:, 15] - joints[:, [7, 8]].mean(axis=1))[:, 1].mean() < -0.7:
        joints = joints * np.array([1.0, -1.0, -1.0], dtype=joints.dtype)
    return _floored(joints, joints[:, 0], 1.0)


def turned_up(positions: np.ndarray) -> np.ndarray:
    """Positions (..., 3) of a Z-up world -> Y up."""
    return np.stack([positions[..., 0], positions[..., 2], -positions[..., 1]], axis=-1)


def _rest_frame(joints: np.ndarray, fps: float) -> bool:
    """Whether frame 0 of joints in metres is a rest pose away from where the motion begins."""
    if len(joints) < 4:
        return False
    speed = np.linalg.norm(np.diff(joints[:, 0], axis=0), axis=1) * fps
    return bool(speed[0] > 15.0 and speed[0] > 5 * speed[1:].max())


def _smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian of `sigma` frames over (T,) values; the ends are continued by reflection."""
    radius = min(int(np.ceil(3 * sigma)), len(values) - 1)
    if radius < 1:
        return values
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.convolve(np.pad(values, radius, mode="reflect"), kernel / kernel.sum(), mode="valid")


def _floored(joints: np.ndarray, root: np.ndarray, fps: float) -> np.ndarray:
    """(T, 22, 3) joints with the floor put right where it must be; root (T, 3) is the path of the hierarchy's root. Metres, Y up."""
    feet = joints[:, [7, 8, 10, 11], 1]
    pelvis = joints[:, 0]
    travel = np.ptp(pelvis[:, [0, 2]], axis=0).max()
    carried = (pelvis[:, 1] - root[:, 1]).min() > 0.4 and np.ptp(root[:, 1]) < 1e-3 and np.ptp(pelvis[:, 1]) < 1e-3
    if carried and len(joints) > 10 and travel > 0.2:
        joints = joints.copy()
        # Which foot is the lower one changes from frame to frame with a kink; the smoothing takes it out.
        joints[..., 1] -= _smoothed(feet.min(axis=1), 0.05 * fps)[:, None]
        joints[..., 1] -= joints[:, [7, 8, 10, 11], 1].min()
    elif feet.min() < -0.25:
        joints = joints.copy()
        joints[..., 1] -= feet.min()
    return joints


def to_humanml3d(
    names: Sequence[str],
    parents: Sequence[int],
    positions: np.ndarray,
    fps: float,
    source: str,
    rest: np.ndarray | None = None,
    mapping: dict[str, str] | None = None,
    scale: float | None = None,
    up: str | None = None,
) -> np.ndarray:
    """A rig's joints -> the 22 joints of HumanML3D in metres, Y up, (T', 22, 3) float32; own bone lengths and frame rate.

    Args:
        names, parents: the rig's J joints, parents first; an End Site is named `<parent>_end`.
        positions: (T, J, 3) global positions in the file's axes and unit.
        fps: frames per second.
        source: for messages.
        rest: (J, 3) positions in the rest pose, where known: helps to tell the up axis.
        mapping: role -> joint name, overriding the guess.
        scale: metres per unit; guessed from the legs by default.
        up: "y" or "z"; guessed by default.

    Returns:
        T' = T, or T - 1 where the first frame is a rest pose somewhere else.

    Raises:
        MateError: a role is missing or the body is not human in any unit.
    """
    if up not in (None, "y", "z"):
        raise MateError(f"got up axis {up!r}, expected 'y' or 'z'")
    if scale is not None and not 0 < scale < np.inf:
        raise MateError(f"got scale {scale!r}, expected a positive number of metres per unit")
    limit = 1e12
    sound = (np.abs(positions) <= limit).all(axis=(1, 2))  # False for NaN, too
    if not sound.all():
        frame = int(np.argmin(sound))
        raise MateError(f"{source}: positions beyond {limit:g} units at frame {frame}; the file is damaged")
    if rest is not None and not (np.abs(rest) <= limit).all():
        rest = None
    found = joint_map(names, parents, positions, source, mapping)
    joints = found.apply(positions)
    unit = guess_scale(joints, source) if scale is None else scale
    joints, root = joints * unit, positions[:, 0] * unit
    if up is None:
        up = guess_up(joints, None if rest is None else found.apply(rest[None])[0])
    if up == "z":
        joints, root = turned_up(joints), turned_up(root)
    if _rest_frame(joints, fps):
        joints, root = joints[1:], root[1:]
    return _floored(joints, root, fps).astype(np.float32)
