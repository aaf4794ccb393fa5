"""KIT-ML as HumanML3D's authors processed it: 21 joints in millimetres, 12.5 frames per second, 251 features.

The set keeps these numbers; what it gains is a description with its true frame rate (captions about a part of a clip are in
seconds), and that every clip was looked at. Published folders hold their mirror images already.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mate.data.build import Dropped, Source, file_key
from mate.data.dataset import Sample, read_captions
from mate.data.humanml3d import read_splits
from mate.errors import MateError
from mate.motion.features import (
    KIT_FEATURES,
    FeatureSpec,
    features_to_joints,
    joints_to_features,
    process_motion,
    with_bone_lengths_of,
)

LICENSE = "KIT Motion-Language Dataset: free for research with citation; see its site before other use"
EXAMPLE = "03950_gt"  # the clip whose bone lengths the published procedure gives to all
_TOLERANCE = 5.0  # millimetres between published joints and published features


def kit_source(folder: str | Path) -> Source:
    """A KIT-ML folder, for `build_dataset` with `spec=KIT_FEATURES`.

    It holds texts, train.txt, val.txt, test.txt, and `new_joints` and/or `new_joint_vecs` (canonical already), or `joints` (the
    recordings' own positions, which then get the bone lengths of the clip 03950_gt or, without it, of the first one).

    Raises:
        MateError: not such a folder.
    """
    root = Path(folder)
    if not any((root / part).is_dir() for part in ("new_joints", "new_joint_vecs", "joints")):
        raise MateError(f"{root} has no new_joints, new_joint_vecs or joints; expected a KIT-ML folder")
    splits = read_splits(root)
    names = tuple(splits.items())
    spec = KIT_FEATURES
    if not (root / "new_joints").is_dir() and not (root / "new_joint_vecs").is_dir():
        example = next((name for name in (EXAMPLE, *splits) if (root / "joints" / f"{name}.npy").is_file()), None)
        if example is None:
            raise MateError(f"{root}/joints holds none of the clips of its splits")
        spec = with_bone_lengths_of(_array(root / "joints" / f"{example}.npy", (KIT_FEATURES.skeleton.joints, 3)), spec)
    key = {"source": "kit", "folder": str(root.resolve()), "train": file_key(root / "train.txt")}
    return Source(partial(_one, root, spec), names, key)


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise MateError(f"cannot read {path.name}: {error}") from error
    if array.shape[1:] != shape or array.dtype.kind != "f":
        raise MateError(
            f"{path.name}: got shape {array.shape} of {array.dtype}, expected (T, {', '.join(map(str, shape))})"
        )
    if not np.isfinite(array).all():
        raise MateError(f"{path.name}: NaN or infinite numbers")
    return array.astype(np.float32)


def _one(root: Path, spec: FeatureSpec, item: tuple[str, str]) -> Iterator[Sample | Dropped]:
    name, split = item
    try:
        captions = read_captions(root / "texts" / f"{name}.txt")
        joints, features = _motion(root, name, spec)
    except MateError as error:
        yield Dropped(name, str(error))
        return
    yield Sample(name, joints, captions, split, {"source": "KIT-ML", "license": LICENSE}, features)


def _motion(root: Path, name: str, spec: FeatureSpec) -> tuple[np.ndarray, np.ndarray]:
    joints_file, features_file = root / "new_joints" / f"{name}.npy", root / "new_joint_vecs" / f"{name}.npy"
    shape = (spec.skeleton.joints, 3)
    joints = _array(joints_file, shape) if joints_file.is_file() else None
    if features_file.is_file():
        features = _array(features_file, (spec.dim,))
        back = features_to_joints(features, spec)
        if joints is not None:
            frames = min(len(joints), len(back))
            apart = float(np.abs(back[:frames] - joints[:frames]).max())
            if len(joints) != len(back) or apart > _TOLERANCE:
                raise MateError(
                    f"joints ({len(joints)} frames) and features ({len(back)}) disagree by up to {apart:.0f} mm"
                )
        return back, features
    if joints is not None:
        return joints, joints_to_features(joints, spec)
    own = _array(root / "joints" / f"{name}.npy", shape)
    return own, process_motion(own, spec=spec, precise=True)
