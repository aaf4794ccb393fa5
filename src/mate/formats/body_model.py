"""SMPL-family pose parameters (AMASS and others) -> joint positions, with the user's own body-model file.

The body models (SMPL, SMPL+H, SMPL-X) must not be shipped; their makers give them out after a registration. Only four arrays of a model's
`.npz` are read: `v_template` (V, 3), `shapedirs` (V, 3, S), `J_regressor` (J, V) and `kintree_table` (2, J). Joints are regressed from the
shaped template; pose blend shapes move the skin and not the joints. The first 22 joints are the same body in all three models, and the only
ones that are computed.

Source: Loper et al., "SMPL: A Skinned Multi-Person Linear Model", SIGGRAPH Asia 2015; Mahmood et al., "AMASS", ICCV 2019.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mate.errors import MateError
from mate.formats.npz import NpzReader
from mate.motion.rotations import rotations_to_joints
from mate.motion.skeleton import HUMANML3D

VARIABLE = "MATE_BODY_MODELS"  # the environment variable that names the folder of body models
USER_FOLDER = Path("~/.mate/body_models")
JOINTS = HUMANML3D.joints
_KINDS = {
    "smplh": "SMPL+H ('Extended SMPL+H model used in AMASS', https://mano.is.tue.mpg.de)",
    "smplx": "SMPL-X ('SMPL-X with removed head bun' or the plain one as NPZ, https://smpl-x.is.tue.mpg.de)",
    "smpl": "SMPL (https://smpl.is.tue.mpg.de, its .pkl turned into .npz)",
}
_COLUMNS = {72: "smpl", 156: "smplh", 165: "smplx"}
_POSE_KEYS = ("poses", "root_orient", "global_orient", "pose_body", "body_pose")
_GENDERS = {"m": "male", "f": "female", "n": "neutral"}


@dataclass(frozen=True, eq=False)
class BodyModel:
    """What of a body model the 22 body joints need.

    Attributes:
        template: (22, 3) float64, joints of the mean shape, metres, in the model's axes.
        directions: (22, 3, S) float64, how each shape coefficient moves them.
        path: where it came from.
    """

    template: np.ndarray
    directions: np.ndarray
    path: str = ""

    def joints(self, poses: np.ndarray, trans: np.ndarray, betas: np.ndarray) -> np.ndarray:
        """Joint positions (T, 22, 3) float32 in the axes of `trans`, metres.

        Args:
            poses: (T, 66 or more), axis-angle of the root and the 21 body joints, radians; what follows (hands, face) is not used.
            trans: (T, 3), metres.
            betas: (any number,) shape coefficients; those beyond the model's are left out.
        """
        count = min(len(betas), self.directions.shape[2])
        turns = np.asarray(poses[:, : 3 * JOINTS], dtype=np.float64).reshape(len(poses), JOINTS, 3)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # absurd numbers come out as inf or NaN, for the caller to see
            rest = self.template + self.directions[:, :, :count] @ np.asarray(betas[:count], dtype=np.float64)
            offsets = rest - rest[[max(parent, 0) for parent in HUMANML3D.parents]]
            return rotations_to_joints(rest[0] + trans, _quaternions(turns), offsets, HUMANML3D.parents)


def _quaternions(turns: np.ndarray) -> np.ndarray:
    """Axis-angle vectors (..., 3), radians -> unit quaternions (..., 4)."""
    half = 0.5 * np.linalg.norm(turns, axis=-1, keepdims=True)
    return np.concatenate((np.cos(half), 0.5 * turns * np.sinc(half / np.pi)), axis=-1)


def read_body_model(path: str | Path) -> BodyModel:
    """Reads a body model's `.npz`.

    Raises:
        MateError: a pickle (`.pkl`, never read), not readable, or not of a SMPL-family model.
    """
    path = Path(path)
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise MateError(
            f"{path}: a pickled body model can run code when it is read, so it is not; take the .npz version that its makers offer "
            "(SMPL+H for AMASS: model.npz; SMPL-X: SMPLX_MALE.npz), or turn it into one with their tools"
        )
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        raise MateError(f"cannot read the body model {path}: {getattr(error, 'strerror', None) or error}") from error
    return _read(str(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)  # a set has thousands of files and three models of 100 MB and more
def _read(path: str, changed: int, size: int) -> BodyModel:
    with NpzReader(path) as archive:
        wanted = ("v_template", "shapedirs", "J_regressor", "kintree_table")
        if lacking := [key for key in wanted if key not in archive.keys]:
            raise MateError(
                f"{path}: no {', '.join(lacking)}; expected the .npz of SMPL, SMPL+H or SMPL-X with {', '.join(wanted)}"
            )
        template, shapes, regressor, tree = (archive.read(key) for key in wanted)
    vertices = template.shape[0] if template.ndim else 0
    sound = (
        template.shape == (vertices, 3)
        and shapes.ndim == 3
        and shapes.shape[:2] == (vertices, 3)
        and regressor.ndim == 2
        and regressor.shape[0] >= JOINTS
        and regressor.shape[1] == vertices
        and tree.ndim == 2
        and tree.shape[0] >= 1
        and tree.shape[1] >= JOINTS
        and all(array.dtype.kind in "fiu" for array in (template, shapes, regressor, tree))
    )
    if not sound:
        shown = ", ".join(
            f"{key} {array.shape}" for key, array in zip(wanted, (template, shapes, regressor, tree), strict=True)
        )
        raise MateError(f"{path}: {shown}; expected (V, 3), (V, 3, S), (J >= {JOINTS}, V) and (2, J)")
    if tuple(int(parent) for parent in tree[0, 1:JOINTS]) != HUMANML3D.parents[1:]:
        raise MateError(
            f"{path}: its first {JOINTS} joints do not hang together as SMPL's body does; expected SMPL, SMPL+H or SMPL-X"
        )
    regress = regressor[:JOINTS].astype(np.float64)
    directions = np.tensordot(regress, shapes.astype(np.float64), axes=1)
    joints = regress @ template.astype(np.float64)
    if not (np.isfinite(joints).all() and np.isfinite(directions).all()):
        raise MateError(f"{path}: NaN or infinite numbers; the file is damaged")
    return BodyModel(joints, directions, path)


def find_body_model(kind: str, gender: str, where: str | Path | None = None) -> Path:
    """The file of a body model.

    Looked for, upper and lower case alike, as `KIND/GENDER/model.npz`, `GENDER/model.npz`, `KIND/KIND_GENDER.npz` and `KIND_GENDER.npz`
    (as in AMASS's and the smplx package's folders) in `where`, else in `$MATE_BODY_MODELS`, else in `~/.mate/body_models`.

    Args:
        kind: "smplh", "smplx" or "smpl".
        gender: "male", "female" or "neutral".
        where: a folder, or the file itself.

    Raises:
        MateError: not there; the message says which one is needed, where it was looked for and where it is to be had.
    """
    if where is not None and Path(where).suffix:
        return Path(where)
    folder = Path(where or os.environ.get(VARIABLE) or USER_FOLDER).expanduser()
    names = [f"{kind}/{gender}/model.npz", f"{kind}/{kind}_{gender}.npz", f"{kind}_{gender}.npz"]
    names += [f"{gender}/model.npz"] if kind == "smplh" else []
    try:
        found = {
            file.relative_to(folder).as_posix().lower(): file
            for pattern in ("*.npz", "*/*.npz", "*/*/*.npz", "*.pkl", "*/*.pkl", "*/*/*.pkl")
            for file in folder.glob(pattern)
        }
    except OSError as error:
        raise MateError(f"cannot read the folder of body models {folder}: {error.strerror}") from error
    for name in names:
        if name in found:
            return found[name]
    pickled = [name for name in found if name.endswith(".pkl")]
    raise MateError(
        f"needs the body model {_KINDS[kind]}, gender {gender}; looked in {folder} for {', '.join(names)}"
        + (f" (there are {', '.join(sorted(pickled)[:3])}: pickles are never read)" if pickled else "")
        + f". Put the file there, set {VARIABLE} to its folder, or give body_model="
    )


@dataclass(frozen=True, eq=False)
class PoseParameters:
    """What a file of SMPL-family pose parameters holds of the body.

    Attributes:
        poses: (T, 66 or more) axis-angle, radians. trans: (T, 3) metres. betas: (S,).
        kind: of body model, "smplh", "smplx" or "smpl". gender: "male", "female" or "neutral".
    """

    poses: np.ndarray
    trans: np.ndarray
    betas: np.ndarray
    kind: str
    gender: str


def has_pose_parameters(keys: tuple[str, ...]) -> bool:
    """Whether an archive with these keys holds SMPL-family pose parameters."""
    return any(key in keys for key in _POSE_KEYS)


def read_pose_parameters(archive: NpzReader) -> PoseParameters:
    """The pose parameters of an open archive: AMASS's old keys (`poses`, SMPL+H G) or new ones (`root_orient`, `pose_body`, SMPL-X), or
    the smplx package's (`global_orient`, `body_pose`, `transl`).

    Raises:
        MateError: an array is missing or of a wrong shape, or holds NaN.
    """
    keys = archive.keys

    def numbers(*names: str) -> np.ndarray | None:
        key = next((name for name in names if name in keys), None)
        if key is None:
            return None
        array = archive.read(key)
        if array.dtype.kind not in "fiu":
            raise MateError(f"{archive.path}: `{key}` of type {array.dtype}, expected numbers")
        if not np.isfinite(array).all():
            raise MateError(f"{archive.path}: NaN or infinite numbers in `{key}`")
        return np.asarray(array, dtype=np.float64)

    poses = numbers("poses")
    if poses is None:
        root, body = numbers("root_orient", "global_orient"), numbers("pose_body", "body_pose")
        if root is None or body is None:
            raise MateError(
                f"{archive.path}: {', '.join(keys[:12])}; expected `poses`, or `root_orient` with `pose_body`"
            )
        root, body = (
            root.reshape(len(root), -1) if root.ndim else root,
            body.reshape(len(body), -1) if body.ndim else body,
        )
        if root.ndim != 2 or body.ndim != 2 or root.shape[1] != 3 or len(root) != len(body):
            raise MateError(
                f"{archive.path}: root and body poses of shapes {root.shape} and {body.shape}, expected (T, 3) and (T, 63)"
            )
        poses = np.concatenate((root, body), axis=1)
    poses = poses.reshape(len(poses), -1) if poses.ndim else poses
    trans, betas = numbers("trans", "transl"), numbers("betas")
    if poses.ndim != 2 or poses.shape[1] < 3 * JOINTS or not len(poses):
        raise MateError(
            f"{archive.path}: poses of shape {poses.shape}, expected (T, {3 * JOINTS}) or more numbers a frame, axis-angle"
        )
    if trans is None or trans.shape != (len(poses), 3):
        raise MateError(
            f"{archive.path}: {'no `trans`' if trans is None else f'`trans` of shape {trans.shape}'}, expected ({len(poses)}, 3)"
        )
    if betas is None or not betas.size:
        raise MateError(f"{archive.path}: no `betas`, expected the shape of the body, (16,) or (10,)")
    betas = betas.reshape(-1, betas.shape[-1])[0] if betas.ndim else betas.reshape(1)
    return PoseParameters(poses, trans, betas, _kind(archive, poses.shape[1]), _gender(archive))


def _kind(archive: NpzReader, columns: int) -> str:
    named = archive.text("surface_model_type").lower().replace("-", "").replace("+", "")
    for kind in ("smplx", "smplh", "smpl"):
        if named.startswith(kind):
            return kind
    if columns in _COLUMNS and "poses" in archive.keys:
        return _COLUMNS[columns]
    return "smplx" if "pose_jaw" in archive.keys or "jaw_pose" in archive.keys else "smplh"


def _gender(archive: NpzReader) -> str:
    return _GENDERS.get(archive.text("gender").strip().lower()[:1], "neutral")


def pose_joints(parameters: PoseParameters, model: BodyModel | str | Path | None, source: str) -> np.ndarray:
    """Joint positions (T, 22, 3) float32 in the file's axes, metres.

    Args:
        model: a model, its file, or a folder of models; see `find_body_model`.
        source: for messages.

    Raises:
        MateError: the model is not found or not readable.
    """
    if not isinstance(model, BodyModel):
        try:
            model = read_body_model(find_body_model(parameters.kind, parameters.gender, model))
        except MateError as error:
            raise MateError(f"{source}: SMPL pose parameters: {error}") from error
    return model.joints(parameters.poses, parameters.trans, parameters.betas)
