"""One call to write a motion in any format, chosen by the suffix."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mate.errors import MateError
from mate.files import atomic_path
from mate.motion.motion import Motion

SUFFIXES = (".npy", ".npz", ".bvh", ".glb", ".html", ".mp4", ".png")


def check_suffix(path: str | Path) -> str:
    """The suffix of a path in lower case.

    Raises:
        MateError: none of `SUFFIXES`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        got = f"the format {suffix!r}" if suffix else "no file suffix"
        raise MateError(f"{path}: got {got}, expected one of {', '.join(SUFFIXES)}; choose one of these")
    return suffix


def save_motion(motion: Motion, path: str | Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Writes a motion: .npy positions (T, J, 3), .npz, .bvh, .glb, .html, .mp4, or .png (a strip of poses).

    The same motion gives the same bytes, and a file appears only when it is complete.

    Args:
        metadata: strings such as prompt, license, model, kept where the format has a place for them (npz, glb, html, png,
            the comment of mp4); npy and bvh have none.

    Returns:
        The path.

    Raises:
        MateError: an unknown suffix, or a folder that cannot be written.
    """
    path = Path(path)
    suffix = check_suffix(path)
    metadata = dict(metadata or {})
    # Each writer is imported when it is needed: plotly, pygltflib and Pillow take their time.
    if suffix == ".npy":
        # Through a file object: given a name, numpy would add .npy to one that ends in .NPY.
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, motion.joints, allow_pickle=False)
    elif suffix == ".npz":
        from mate.formats.npz import write_npz

        write_npz(motion, path, metadata)
    elif suffix == ".bvh":
        from mate.formats.bvh import write_bvh

        write_bvh(motion, path)
    elif suffix == ".glb":
        from mate.formats.gltf import write_glb

        write_glb(motion, path, metadata)
    elif suffix == ".html":
        from mate.formats.html import write_html

        write_html(motion, path, metadata)
    elif suffix == ".mp4":
        from mate.formats.video import write_mp4

        write_mp4(motion, path, metadata=metadata)
    else:
        from mate.formats.video import write_strip

        write_strip(motion, path, metadata=metadata)
    return path
