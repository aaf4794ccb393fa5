"""Made-up motions of KIT-ML's 21 joints, and a folder of them as published. Not a test file.

Motions are (T, 21, 3) float32 at 12.5 frames per second, millimetres, of a body 1 m tall that begins facing +Z.
"""

from pathlib import Path

import numpy as np

from mate.data.build import build_dataset
from mate.data.kit import kit_source
from mate.motion.features import KIT_FEATURES, canonicalize, joints_to_features
from mate.motion.skeleton import KIT

FPS = KIT_FEATURES.fps
# About those of its bodies. The facing of the features needs shoulders wider than hips.
LENGTHS = np.array([0, 77, 107, 40, 27, 97, 137, 91, 97, 137, 91, 45, 223, 226, 25, 46, 45, 223, 226, 25, 46], float)
RIGHT = tuple(joint for joint, name in enumerate(KIT.joint_names) if name.startswith("right"))


def walking(frames: int, speed: float = 500.0, lift: float = 0.0) -> np.ndarray:
    """Legs and arms swing, the body goes forward by `speed` mm/s, the left arm goes up by `lift` radians."""
    time = np.arange(frames) / FPS
    rest = np.array(KIT.rest_directions, float) * [-1, 1, 1]  # its rest directions have the sides of its data exchanged
    directions = np.repeat(rest[None], frames, axis=0)
    for chain in KIT.chains:
        limb = chain[2:4] if chain[1] in (11, 16, 5, 8) else chain[2:]
        for joint in limb:
            if rest[joint][1] != -1:
                continue
            angle = 0.4 * np.sin(2 * np.pi * time + np.pi * (joint in RIGHT)) + lift * (joint in (9, 10))
            directions[:, joint] = np.stack([0 * time, -np.cos(angle), np.sin(angle)], axis=1)
    joints = np.zeros((frames, KIT.joints, 3))
    joints[:, 0, 2] = speed * time
    for joint, parent in enumerate(KIT.parents[1:], start=1):
        joints[:, joint] = joints[:, parent] + LENGTHS[joint] * directions[:, joint]
    return canonicalize(joints, KIT)


def write_published(folder: Path, splits: dict[str, int], frames: int = 50) -> Path:
    """A folder as published: features, joints, texts, lists; `splits` says how many clips of each (1 of others). Returns `folder`."""
    for part in ("new_joints", "new_joint_vecs", "texts"):
        (folder / part).mkdir(parents=True)
    number = 0
    for split in ("train", "val", "test"):
        names = []
        for _ in range(splits.get(split, 1)):
            name, raises = f"{number:05d}", number % 2
            text = "a person raises the left hand" if raises else "a person walks forward"
            joints = walking(frames + number % 3 * 8, 400.0 + 5 * number, 2.0 * raises)
            np.save(folder / "new_joint_vecs" / f"{name}.npy", joints_to_features(joints, KIT_FEATURES))
            np.save(folder / "new_joints" / f"{name}.npy", joints[:-1])
            tags = " ".join(f"{word}/NOUN" for word in text.split())
            (folder / "texts" / f"{name}.txt").write_text(f"{text}#{tags}#0.0#0.0\n")
            names.append(name)
            number += 1
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


def prepare(folder: Path, splits: dict[str, int] | None = None, frames: int = 50) -> Path:
    """A set as `mate prepare kit` makes it; returns it."""
    source = kit_source(write_published(folder / "KIT-ML", splits or {"train": 4}, frames))
    build_dataset(source, folder / "set", name="kit-ml", license="made up", spec=KIT_FEATURES, every_split_counts=True)
    return folder / "set"
