"""`mate export`: one motion file to another format."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mate.motion.motion import Motion

Asf = Annotated[Path | None, typer.Option(help="Skeleton of an .amc that does not lie beside it.", show_default=False)]
Body = Annotated[
    Path | None,
    typer.Option(
        help="SMPL-family body model (.npz, or a folder of them) for pose parameters: to read them, and to write them into an .npz.",
        show_default=False,
    ),
]
SkeletonFile = Annotated[
    Path | None,
    typer.Option(help="Skeleton file for joints that cannot be guessed (docs/data.md).", show_default=False),
]
SourceFps = Annotated[
    float | None,
    typer.Option(help="Frames per second of IN, for files that do not say or say it wrongly.", show_default=False),
]


class Axis(StrEnum):
    """The axis that points up."""

    y = "y"
    z = "z"


class Unit(StrEnum):
    """A unit of length."""

    m = "m"
    cm = "cm"
    mm = "mm"
    inch = "inch"


METRES = {Unit.m: 1.0, Unit.cm: 0.01, Unit.mm: 0.001, Unit.inch: 0.0254}


def export(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A motion: .bvh, .amc, .npz, .npy, .csv or .glb.", show_default=False)
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="What to write: .npy, .npz, .csv, .bvh, .glb, .html, .mp4, .gif or .png.",
            show_default=False,
        ),
    ],
    fps: Annotated[float | None, typer.Option(help="Frames per second of OUT (default: as IN).")] = None,
    up_axis: Annotated[Axis, typer.Option(help="Axis that points up in OUT: npy, csv, bvh.")] = Axis.y,
    unit: Annotated[
        Unit | None, typer.Option(help="Unit of length of OUT: npy, csv, bvh (default: cm in bvh, else m).")
    ] = None,
    scale: Annotated[float, typer.Option(help="Makes body and path that many times as large.")] = 1.0,
    rig: Annotated[
        str | None,
        typer.Option(
            metavar="RIG",
            help="Onto another rig: a BVH file of yours, or the joint names of mixamo, unity or vrm.",
            show_default=False,
        ),
    ] = None,
    rig_roles: Annotated[
        Path | None,
        typer.Option(help="Skeleton file that says which joint of RIG is which, where it cannot be guessed."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="For .html: a text whose words are shown over time, found as `mate ground` does."),
    ] = None,
    grounding: Annotated[
        Path | None, typer.Option(help="For .html: the same, from what `mate ground --json` printed.")
    ] = None,
    asf: Asf = None,
    body_model: Body = None,
    skeleton: SkeletonFile = None,
    source_fps: SourceFps = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Convert a motion file to another format, chosen by the suffix of OUT.

    `mate export walk.bvh walk.glb`, `mate export walk.npy walk.bvh --rig mine.bvh`,
    `mate export walk.npy walk.html --text "a person walks"`
    """
    import dataclasses
    import json

    from mate.errors import MateError
    from mate.formats.load import load_motion
    from mate.formats.save import Output, check_suffix, save_motion
    from mate.motion.retarget import resample

    suffix = check_suffix(target)
    if fps is not None and not 1 <= fps <= 1000:
        raise MateError(f"got --fps {fps:g}, expected 1 to 1000 frames per second")
    if not 1e-3 <= scale <= 1e3:
        raise MateError(f"got --scale {scale:g}, expected a factor of 0.001 to 1000 (units of length: --unit)")
    if text is not None and grounding is not None:
        raise MateError("got --text and --grounding, expected one of them")
    if (text or grounding) and suffix != ".html":
        raise MateError(
            f"got {'--text' if text else '--grounding'} for {suffix}, which has no use for it; expected .html"
        )
    if rig_roles is not None and rig is None:
        raise MateError("got --rig-roles without --rig; for the joints of IN it is --skeleton")
    output = Output(
        up_axis.value, METRES[unit] if unit else None, _rig(rig, rig_roles), _body_model(body_model, suffix)
    )
    output.check(suffix)

    motion = load_motion(source, source_fps, asf=asf, body_model=body_model, skeleton=skeleton)
    metadata = _metadata(source)
    if fps is not None and fps != motion.fps:
        joints = resample(motion.joints, motion.fps, fps, motion.skeleton)
        motion = dataclasses.replace(motion, joints=joints, fps=fps)
    if text is not None or grounding is not None:
        words = _ground(motion, text) if text is not None else _read_grounding(grounding)
        output = dataclasses.replace(output, grounding=words)
        metadata.setdefault("prompt", str(words.get("text", "")) if isinstance(words, dict) else "")
    if scale != 1.0:
        motion = dataclasses.replace(motion, joints=motion.joints * scale)
    save_motion(motion, target, metadata, output)
    if json_output:
        result = {"path": str(target), "frames": motion.frames, "fps": motion.fps, "seconds": round(motion.seconds, 3)}
        typer.echo(json.dumps(result | {"metadata": metadata}))
    else:
        typer.echo(f"{target}: {motion.frames} frames at {motion.fps:g} per second, {motion.seconds:.2f} s")


def _metadata(source: Path) -> dict[str, str]:
    """A licence or a prompt that came with the input goes on with the output."""
    from mate.about import written_notes

    try:
        return written_notes(source)
    except FileNotFoundError:  # load_motion has a better message
        return {}


def _rig(rig: str | None, roles: Path | None) -> Any:
    if rig is None:
        return None
    from mate.formats.rig import open_rig
    from mate.formats.skeleton_file import read_rig_file

    return open_rig(rig, read_rig_file(roles) if roles else None)


def _body_model(path: Path | None, suffix: str) -> Any:
    """The model to write pose parameters for; a folder is for reading only, it does not say which body."""
    if path is None or suffix != ".npz" or path.is_dir():
        return None
    from mate.formats.body_model import read_body_model

    return read_body_model(path)


def _ground(motion: "Motion", text: str) -> dict[str, Any]:
    from mate.align.aligner import Aligner
    from mate.align.grounding import ground
    from mate.align.score import default_model
    from mate.errors import MateError
    from mate.motion.features import process_motion
    from mate.motion.retarget import resample

    aligner = Aligner.from_pretrained(default_model())
    joints = motion.joints
    if abs(motion.fps - aligner.config.fps) > 1e-6:
        joints = resample(joints, motion.fps, aligner.config.fps)
    if len(joints) < 2:
        raise MateError(f"a motion of {motion.seconds:.2f} s is too short to find words in; leave --text out")
    return ground(aligner, process_motion(joints, precise=True), text).to_json()


def _read_grounding(path: Path | None) -> Any:
    import json

    from mate.errors import MateError

    try:
        return json.loads(Path(path or "").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MateError(
            f"cannot read the grounding {path}: {error}; expected what `mate ground --json` prints"
        ) from error
