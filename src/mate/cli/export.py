"""`mate export`: one motion file to another format."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A motion: .bvh, .npz or .npy (T, 22, 3).")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="What to write: .npy, .npz, .bvh, .glb, .html, .mp4 or .png.")
    ],
    fps: Annotated[float | None, typer.Option(help="Frames per second of the output (default: as the input).")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Convert a motion file to another format, chosen by the suffix of OUT."""
    import dataclasses
    import json

    from mate.errors import MateError
    from mate.formats.load import load_motion
    from mate.formats.npz import read_metadata
    from mate.formats.save import check_suffix, save_motion
    from mate.motion.retarget import resample

    check_suffix(target)
    if fps is not None and not 1 <= fps <= 1000:
        raise MateError(f"got --fps {fps:g}, expected 1 to 1000 frames per second")
    motion = load_motion(source)
    # A licence or a prompt that came with the input goes on with the output.
    metadata = read_metadata(source) if source.suffix.lower() == ".npz" else {}
    if fps is not None and fps != motion.fps:
        joints = resample(motion.joints, motion.fps, fps, motion.skeleton)
        motion = dataclasses.replace(motion, joints=joints, fps=fps)
    save_motion(motion, target, metadata)
    if json_output:
        result = {"path": str(target), "frames": motion.frames, "fps": motion.fps, "seconds": round(motion.seconds, 3)}
        typer.echo(json.dumps(result | {"metadata": metadata}))
    else:
        typer.echo(f"{target}: {motion.frames} frames at {motion.fps:g} per second, {motion.seconds:.2f} s")
