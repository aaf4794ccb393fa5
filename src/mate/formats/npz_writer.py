"""A motion as an `.npz` that needs no pickle: Kimodo's keys, AMASS's frame rate and, with a body model, AMASS's pose parameters.

Keys (T frames, J joints, N rig joints), metres, Y up, body facing +Z at heading 0:

    posed_joints (T, J, 3), joint_names (J,), parents (J,): positions.
    local_rot_mats, global_rot_mats (T, J, 3, 3), rest_offsets (J, 3): rotations against the T-pose of these offsets.
    root_positions (T, 3); smooth_root_pos (T, 3): the same with a smoothed path over the floor.
    global_root_heading (T, 2): cosine and sine of the hips' heading.
    foot_contacts (T, 4): left ankle, left foot, right ankle, right foot; 1 = it is low and does not move.
    mocap_framerate, mocap_frame_rate: both spellings are in use.
    rig_joint_names (N,), rig_parents (N,), rig_offsets (N, 3), rig_rot_mats (T, N, 3, 3): `mate.motion.rotations.RigMotion`, whose
        local rotations give the positions back exactly.
    One string a metadata entry, for instance `prompt` and `license`.

The first seven names are those of NVIDIA's Kimodo for its 22-joint skeleton. Its rotations belong to the rest pose of SMPL-X and its
smoothing is a filter of its own: here a T-pose near that one and a Gaussian. With a body model there are SMPL-family pose parameters too,
found for that body (mean shape) and in AMASS's Z-up world: trans (T, 3), root_orient (T, 3), pose_body (T, 63), poses (T, 156 for SMPL+H,
165 for SMPL-X, 72 for SMPL), betas (16,) zeros, gender, surface_model_type, mocap_time_length. Rotations made from positions know nothing
of the twist of a bone; hands and face are at rest.

Sources: Kimodo's user guide, "Output formats", and motion representation (github.com/nv-tlabs/kimodo); AMASS (Mahmood et al., ICCV 2019).
"""

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mate.errors import MateError
from mate.files import atomic_path
from mate.formats.body_model import BodyModel
from mate.formats.npz import METADATA
from mate.motion.motion import Motion
from mate.motion.rotations import joints_to_rig, quaternion_multiply, quaternion_rotate, quaternion_to_matrix
from mate.motion.skeleton import HUMANML3D
from mate.motion.transfer import TargetSkeleton, transfer

_SMOOTHING = 0.25  # seconds, standard deviation of the Gaussian over the path
_CONTACT_SPEED, _CONTACT_HEIGHT = 0.15, 0.10  # metres per second, metres: Kimodo's rule
_FEET = ("left_ankle", "left_foot", "right_ankle", "right_foot")
_COLUMNS = {"smpl": 72, "smplh": 156, "smplx": 165}
_Z_UP = np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0])  # takes Y to Z
_GENDERS = ("male", "female", "neutral")


def write_npz(
    motion: Motion,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    foot_contacts: np.ndarray | None = None,
    body_model: BodyModel | None = None,
) -> None:
    """Writes a motion; the same input gives the same bytes.

    Args:
        metadata: strings to keep beside the arrays.
        foot_contacts: (T, 4), left ankle and foot, right ankle and foot, 0 to 1; found from height and speed by default.
        body_model: writes pose parameters for it, too.

    Raises:
        MateError: contacts of another shape, or the file cannot be written.
    """
    names = motion.skeleton.joint_names
    rig, plain = joints_to_rig(motion), joints_to_rig(motion, names)
    rate = np.asarray(np.float64(motion.fps))
    arrays: dict[str, np.ndarray] = {
        "posed_joints": motion.joints,
        "joint_names": np.array(names),
        "parents": np.array(motion.skeleton.parents, dtype=np.int64),
        "local_rot_mats": quaternion_to_matrix(plain.quaternions),
        "global_rot_mats": quaternion_to_matrix(plain.world_quaternions()),
        "rest_offsets": plain.offsets,
        "root_positions": rig.root_positions,
        "smooth_root_pos": _smoothed(rig.root_positions, motion.fps),
        "mocap_framerate": rate,
        "mocap_frame_rate": rate,
        "rig_joint_names": np.array(rig.names),
        "rig_parents": np.array(rig.parents, dtype=np.int64),
        "rig_offsets": rig.offsets,
        "rig_rot_mats": quaternion_to_matrix(rig.quaternions),
    }
    if "left_hip" in names and "right_hip" in names:
        across = motion.joints[:, names.index("left_hip")] - motion.joints[:, names.index("right_hip")]
        angle = np.arctan2(-across[:, 2], across[:, 0])
        arrays["global_root_heading"] = np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    if foot_contacts is None and set(_FEET) <= set(names):
        foot_contacts = _contacts(motion)
    if foot_contacts is not None:
        contacts = np.asarray(foot_contacts, dtype=np.float32)
        if contacts.shape != (motion.frames, 4):
            raise MateError(f"got foot contacts of shape {contacts.shape}, expected ({motion.frames}, 4)")
        arrays["foot_contacts"] = contacts
    if body_model is not None:
        arrays |= _pose_parameters(motion, body_model)
    for key, value in sorted((metadata or {}).items()):
        if value:
            arrays[METADATA + key if key in arrays else key] = np.array(value)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
            # numpy.savez stamps the time of writing; a fixed date keeps the bytes the same.
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue())


def _smoothed(root: np.ndarray, fps: float) -> np.ndarray:
    """Root positions (T, 3) with x and z smoothed and the height as it is."""
    sigma = _SMOOTHING * fps
    radius = max(int(3 * sigma), 1)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    # Beyond its ends the path goes on as it came: a constant there would bend it.
    padded = np.pad(root.astype(np.float64), ((radius, radius), (0, 0)), mode="reflect", reflect_type="odd")
    smooth = [np.convolve(padded[:, axis], weights / weights.sum(), mode="valid") for axis in range(3)]
    return np.stack((smooth[0], root[:, 1], smooth[2]), axis=1).astype(np.float32)


def _contacts(motion: Motion) -> np.ndarray:
    feet = motion.joints[:, [motion.skeleton.index(name) for name in _FEET]].astype(np.float64)
    steps = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * motion.fps
    speed = np.concatenate((steps, steps[-1:])) if len(steps) else np.zeros(feet.shape[:2])
    return (speed < _CONTACT_SPEED) & (feet[..., 1] < _CONTACT_HEIGHT)


def _pose_parameters(motion: Motion, model: BodyModel) -> dict[str, np.ndarray]:
    """AMASS's keys for the mean shape of a body model. Its rest pose is a T-pose facing +Z with Y up; the world is turned Z up."""
    rest = model.template
    parents = HUMANML3D.parents
    upright = np.tile([1.0, 0.0, 0.0, 0.0], (len(parents), 1))
    offsets = rest - rest[[max(parent, 0) for parent in parents]]
    offsets[0] = rest[0]
    roles = {name: joint for joint, name in enumerate(HUMANML3D.joint_names)}
    body = TargetSkeleton(parents, offsets, upright, roles, up="y", carrier=0, exact=True)
    places, turns = transfer(motion, body)
    turns[:, 0] = quaternion_multiply(_Z_UP, turns[:, 0])
    places = quaternion_rotate(_Z_UP, places)
    poses = _rotation_vectors(turns).reshape(motion.frames, -1)
    kind, gender = _kind_of(model.path)
    whole = np.zeros((motion.frames, _COLUMNS[kind]))
    whole[:, : poses.shape[1]] = poses
    return {
        "trans": places - rest[0],
        "root_orient": poses[:, :3],
        "pose_body": poses[:, 3:66],
        "poses": whole,
        "betas": np.zeros(16),
        "gender": np.array(gender),
        "surface_model_type": np.array(kind),
        "mocap_time_length": np.asarray(motion.seconds),
    }


def _rotation_vectors(q: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) -> axis times angle (..., 3), radians, at most half a turn."""
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)


def _kind_of(path: str) -> tuple[str, str]:
    """Body model and gender by the file's path, such as smplh/male/model.npz or SMPLX_NEUTRAL.npz; AMASS's SMPL+H where it is silent."""
    words = re.split(r"[^a-z]+", path.lower())
    kind = next((kind for kind in ("smplx", "smplh", "smpl") if kind in words), "smplh")
    return kind, next((gender for gender in reversed(words) if gender in _GENDERS), "neutral")
