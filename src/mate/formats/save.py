"""One call to write a motion in any format, chosen by the suffix."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mate.errors import MateError
from mate.files import atomic_path
from mate.motion.motion import Motion

if TYPE_CHECKING:
    from mate.formats.body_model import BodyModel
    from mate.formats.rig import BvhRig

SUFFIXES = (".npy", ".npz", ".csv", ".bvh", ".glb", ".html", ".mp4", ".gif", ".png")


@dataclass(frozen=True, eq=False)
class Output:
    """How a file is written, beyond what its suffix says. Each entry is for some formats only.

    Attributes:
        up: "y" or "z", the axis that points up in the written numbers: npy, csv, bvh. The others have an up axis by their definition.
        unit: of length of the written numbers, in metres: npy, csv, bvh. By default centimetres in bvh, metres in all others.
        rig: the joint names of another rig: bvh, glb; or a BVH file's rig: bvh. See `mate.formats.rig.open_rig`.
        body_model: for pose parameters: npz.
        grounding: words over time, as `mate ground --json` prints them: html.
    """

    up: str = "y"
    unit: float | None = None
    rig: "BvhRig | tuple[str, ...] | None" = None
    body_model: "BodyModel | None" = None
    grounding: Mapping[str, Any] | None = None

    def check(self, suffix: str) -> None:
        """Raises MateError where an entry is set that a format has no use for, or that cannot be."""
        if self.up not in ("y", "z"):
            raise MateError(f"got the up axis {self.up!r}, expected y or z")
        if self.unit is not None and not 1e-6 <= self.unit <= 1e6:
            raise MateError(f"got a unit of {self.unit} metres, expected 0.000001 to 1000000")
        named = isinstance(self.rig, tuple)
        uses = {
            "up": ("an up axis", (".npy", ".csv", ".bvh")),
            "unit": ("a unit of length", (".npy", ".csv", ".bvh")),
            "rig": ("other joint names", (".bvh", ".glb")) if named else ("a rig file", (".bvh",)),
            "body_model": ("a body model", (".npz",)),
            "grounding": ("words over time", (".html",)),
        }
        plain = Output()
        for entry, (what, suffixes) in uses.items():
            if getattr(self, entry) != getattr(plain, entry) and suffix not in suffixes:
                raise MateError(f"got {what} for {suffix}, which cannot take it; expected {', '.join(suffixes)}")
        if self.rig is not None and not named and (self.up != "y" or self.unit is not None):
            raise MateError("got an up axis or a unit beside a rig file; the file's own are kept, leave them out")


def check_suffix(path: str | Path) -> str:
    """The suffix of a path in lower case.

    Raises:
        MateError: none of `SUFFIXES`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        got = f"the format {suffix!r}" if suffix else "no file suffix"
        hint = "; for FBX see docs/formats.md" if suffix == ".fbx" else ""
        raise MateError(f"{path}: got {got}, expected one of {', '.join(SUFFIXES)}; choose one of these{hint}")
    return suffix


def save_motion(
    motion: Motion, path: str | Path, metadata: Mapping[str, str] | None = None, output: Output | None = None
) -> Path:
    """Writes a motion: .npy positions (T, J, 3), .npz, .csv, .bvh, .glb, .html, .mp4, .gif, or .png (a strip of poses).

    The same motion gives the same bytes, and a file appears only when it is complete.

    Args:
        metadata: strings such as prompt, license, model, kept where the format has a place for them (npz, glb, html, png,
            the comment of mp4 and gif); npy, csv and bvh have none.
        output: unit, up axis, rig and the like.

    Returns:
        The path.

    Raises:
        MateError: an unknown suffix, an `output` that the format has no use for, or a folder that cannot be written.
    """
    path = Path(path)
    suffix = check_suffix(path)
    output = output or Output()
    output.check(suffix)
    metadata = dict(metadata or {})
    turned = motion
    if output.up == "z" and suffix in (".npy", ".csv"):
        x, y, z = np.moveaxis(motion.joints, -1, 0)
        turned = Motion(np.stack((x, -z, y), axis=-1), motion.fps, motion.skeleton, motion.name)
    # Each writer is imported when it is needed: pygltflib and Pillow take their time.
    if suffix == ".npy":
        # Through a file object: given a name, numpy would add .npy to one that ends in .NPY.
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, turned.joints / np.float32(output.unit or 1.0), allow_pickle=False)
    elif suffix == ".npz":
        from mate.formats.npz_writer import write_npz

        write_npz(motion, path, metadata, body_model=output.body_model)
    elif suffix == ".csv":
        from mate.formats.table import write_csv

        write_csv(turned, path, output.unit or 1.0)
    elif suffix == ".bvh":
        from mate.formats.bvh_writer import CENTIMETRE, write_bvh

        write_bvh(motion, path, output.rig, output.up, output.unit or CENTIMETRE)
    elif suffix == ".glb":
        from mate.formats.gltf import write_glb

        write_glb(motion, path, metadata, output.rig if isinstance(output.rig, tuple) else None)
    elif suffix == ".html":
        from mate.formats.html import write_html

        write_html(motion, path, metadata, output.grounding)
    elif suffix == ".mp4":
        from mate.formats.video import write_mp4

        write_mp4(motion, path, metadata=metadata)
    elif suffix == ".gif":
        from mate.formats.video import write_gif

        write_gif(motion, path, metadata=metadata)
    else:
        from mate.formats.video import write_strip

        write_strip(motion, path, metadata=metadata)
    return path
