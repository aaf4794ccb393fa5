"""Pictures of a motion: MP4, GIF, a strip of poses, a sheet of many strips. Drawn with Pillow, no window and no GPU.

The figure is a set of tapered capsules, painted from far to near: right limbs blue, left limbs orange, trunk and head grey.
The camera stands at the body's front right (see `azimuth`) and follows the root; the floor grid is fixed in the world, one
square is half a metre, and a line on the floor shows the way the root has come.

imageio-ffmpeg brings the ffmpeg program that encodes MP4; that program is under the GPL and runs as a separate process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mate.errors import MateError
from mate.files import atomic_path
from mate.formats.figure import TRUNK, body_figure
from mate.motion.motion import Motion

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

AZIMUTH = (
    -50.0
)  # degrees: where the camera stands, counted from the body's first facing direction, positive to its left
_ELEVATION = 14.0  # degrees above the horizon
_FIELD = 27.0  # degrees, vertical field of view
_TARGET_HEIGHT = 0.88  # metres: what the camera looks at
_OVERSAMPLE = 2  # drawn larger, then averaged: smooth edges

_WHITE = (255, 255, 255)
_FLOOR = (205, 210, 217)
_SHADOW = (214, 217, 222)
_PATH = (120, 170, 120)
_LABEL = (90, 95, 105)


def _first_heading(motion: Motion) -> float:
    """Angle of the facing direction about +Y in the first frame, radians; 0 where the skeleton has no known hips."""
    names = motion.skeleton.joint_names
    if "left_hip" not in names or "right_hip" not in names:
        return 0.0
    across = motion.joints[0, names.index("left_hip")] - motion.joints[0, names.index("right_hip")]
    return math.atan2(-float(across[2]), float(across[0]))


def _follow(root: np.ndarray, fps: float) -> np.ndarray:
    """The camera's target on the floor plane, (T, 3): the root's path, smoothed over about half a second."""
    sigma = max(0.35 * fps, 1e-3)
    radius = int(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    padded = np.pad(root, ((radius, radius), (0, 0)), mode="edge")
    target = np.stack(
        [np.convolve(padded[:, axis], weights / weights.sum(), mode="valid") for axis in range(3)], axis=1
    )
    # Part of the way down with a body that sits or lies.
    target[:, 1] = np.clip(_TARGET_HEIGHT + 0.5 * (target[:, 1] - 0.92), 0.45, _TARGET_HEIGHT)
    return target


class _Camera:
    """A pinhole camera that looks at `target` (3,) from `angle` radians about +Y; pictures of `size` (width, height) pixels."""

    def __init__(self, target: np.ndarray, angle: float, size: tuple[int, int], step_back: float = 1.0) -> None:
        elevation = math.radians(_ELEVATION)
        back = np.array(
            [math.sin(angle) * math.cos(elevation), math.sin(elevation), math.cos(angle) * math.cos(elevation)]
        )
        right = np.array([math.cos(angle), 0.0, -math.sin(angle)])
        self.axes = np.stack((right, np.cross(back, right), back))
        self.distance = 1.08 / math.tan(math.radians(_FIELD) / 2)
        self.distance *= step_back
        self.target = target
        self.width, self.height = size
        self.focal = 0.5 * size[1] / math.tan(math.radians(_FIELD) / 2)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (..., 2) and pixels per metre (...,) of points (..., 3)."""
        local = (points - self.target) @ self.axes.T
        scale = self.focal / np.maximum(self.distance - local[..., 2], 0.3)
        x = self.width / 2 + local[..., 0] * scale
        y = self.height / 2 - local[..., 1] * scale
        return np.stack((x, y), axis=-1), scale


def _mix(a: tuple[int, ...], b: tuple[int, ...], amount: float) -> tuple[int, int, int]:
    return tuple(round(x + (y - x) * amount) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def _draw_floor(draw: ImageDraw.ImageDraw, camera: _Camera, width: int) -> None:
    step, cells, shades = 0.5, 6, 8
    origin = np.round(camera.target[[0, 2]] / step) * step
    ticks = np.arange(-cells, cells + 1) * step
    a, b = np.meshgrid(ticks, ticks, indexing="ij")
    nodes = np.stack((origin[0] + a, np.zeros_like(a), origin[1] + b), axis=-1)
    pixels, _ = camera.project(nodes)
    # Lines fade out with the distance from the body.
    far = np.linalg.norm(nodes - camera.target * (1, 0, 1), axis=-1) / (cells * step)
    for lines, fades in ((pixels, far), (pixels.swapaxes(0, 1), far.T)):
        level = (0.5 * (fades[:, 1:] + fades[:, :-1]) * shades).astype(int)
        segments = np.concatenate((lines[:, :-1], lines[:, 1:]), axis=-1)
        for shade in range(shades):
            color = _mix(_FLOOR, _WHITE, shade / shades)
            for segment in segments[level == shade].tolist():
                draw.line(segment, fill=color, width=width)


def _draw_capsule(
    draw: ImageDraw.ImageDraw,
    ax: float,
    ay: float,
    bx: float,
    by: float,
    ra: float,
    rb: float,
    color: tuple[int, int, int],
) -> None:
    length = math.hypot(bx - ax, by - ay)
    if length > abs(ra - rb) + 1e-3:
        # Outer tangents of the two circles.
        ux, uy = (bx - ax) / length, (by - ay) / length
        s = (ra - rb) / length
        c = math.sqrt(max(1.0 - s * s, 0.0))
        n1, n2 = (s * ux - c * uy, s * uy + c * ux), (s * ux + c * uy, s * uy - c * ux)
        draw.polygon(
            (
                ax + ra * n1[0], ay + ra * n1[1], bx + rb * n1[0], by + rb * n1[1],
                bx + rb * n2[0], by + rb * n2[1], ax + ra * n2[0], ay + ra * n2[1],
            ),
            fill=color,
        )  # fmt: skip
    draw.ellipse((ax - ra, ay - ra, ax + ra, ay + ra), fill=color)
    draw.ellipse((bx - rb, by - rb, bx + rb, by + rb), fill=color)


class _Scene:
    """One motion, ready to be drawn at any frame."""

    def __init__(self, motion: Motion, size: tuple[int, int], azimuth: float) -> None:
        self.points, self.capsules = body_figure(motion)
        # The trunk is painted as one body, every other capsule by itself.
        trunk = [i for i, capsule in enumerate(self.capsules) if capsule.color == TRUNK]
        self.groups = [[i] for i in range(len(self.capsules)) if i not in trunk] + ([trunk] if trunk else [])
        self.angle = _first_heading(motion) + math.radians(azimuth)
        self.size = (size[0] * _OVERSAMPLE, size[1] * _OVERSAMPLE)
        root = motion.joints[:, 0].astype(np.float64)
        self.target = _follow(root, motion.fps)
        self.root = root * (1, 0, 1)
        self.step_back = 1.0
        camera = _Camera(np.zeros(3), self.angle, self.size)
        pixels, scale = camera.project(self.points - self.target[:, None])
        margin = 0.1 * scale  # metres of flesh around the points
        half = np.array(self.size) / 2
        reach = (np.abs(pixels - half) + margin[..., None]) / half
        self.step_back = min(max(1.0, float(reach.max()) * 1.03), 2.0)

    def draw(self, frame: int) -> Image.Image:
        from PIL import Image, ImageDraw

        picture = Image.new("RGB", self.size, _WHITE)
        draw = ImageDraw.Draw(picture)
        camera = _Camera(self.target[frame], self.angle, self.size, self.step_back)
        thin = max(1, round(self.size[1] / 500))
        _draw_floor(draw, camera, thin)
        points = self.points[frame]
        ends = np.array([(c.a, c.b) for c in self.capsules])
        radii = np.array([(c.radius_a, c.radius_b) for c in self.capsules])

        # Shadow: the light stands straight above, so every capsule falls on the floor below it.
        flat, flat_scale = camera.project(points * (1, 0, 1))
        for (a, b), (ra, rb) in zip(ends, radii, strict=True):
            width = (ra + rb) * 0.5 * (flat_scale[a] + flat_scale[b]) * 0.55
            draw.line((*flat[a], *flat[b]), fill=_SHADOW, width=max(1, round(width)))
            for point, radius in ((flat[a], ra * flat_scale[a]), (flat[b], rb * flat_scale[b])):
                x, y, flatter = *point, radius * 0.45
                draw.ellipse((x - radius * 0.9, y - flatter, x + radius * 0.9, y + flatter), fill=_SHADOW)
        if frame > 0:
            path, _ = camera.project(self.root[: frame + 1])
            draw.line([tuple(p) for p in path], fill=_PATH, width=3 * thin, joint="curve")

        pixels, scale = camera.project(points)
        near = (points[ends].mean(1) - camera.target) @ camera.axes[2]
        radii = radii * scale[ends]
        xy = pixels[ends]
        for group in sorted(self.groups, key=lambda group: float(near[group].mean())):
            # What lies behind the body's middle fades a little, what lies before it does not.
            haze = min(max(0.12 - 0.45 * float(near[group].mean()), 0.0), 0.34)
            color = _mix(self.capsules[group[0]].color, _WHITE, haze)
            # Three layers: a dark rim, the body colour, a lit side towards the upper left. Capsules of one group share their outline.
            for shrink, shift, shade in (
                (0.0, 0.0, _mix(color, (30, 34, 44), 0.45)),
                (thin * 1.3, 0.0, color),
                (None, -0.26, _mix(color, _WHITE, 0.25)),
            ):
                for index in group:
                    ra, rb = radii[index].tolist()
                    (ax, ay), (bx, by) = (xy[index] + shift * radii[index][:, None]).tolist()
                    ra, rb = (0.5 * ra, 0.5 * rb) if shrink is None else (max(ra - shrink, 1.0), max(rb - shrink, 1.0))
                    _draw_capsule(draw, ax, ay, bx, by, ra, rb, shade)
        return picture.reduce(_OVERSAMPLE)


def render_frames(
    motion: Motion, frames: Sequence[int] | None = None, size: tuple[int, int] = (480, 480), azimuth: float = AZIMUTH
) -> Iterator[Image.Image]:
    """RGB pictures of the given frames (all of them by default).

    Args:
        size: width and height in pixels.
        azimuth: where the camera stands, degrees from the body's facing direction in the first frame, positive to its left.
    """
    scene = _Scene(motion, size, azimuth)
    for frame in range(motion.frames) if frames is None else frames:
        yield scene.draw(frame)


def render_frame(
    motion: Motion, frame: int = 0, size: tuple[int, int] = (480, 480), azimuth: float = AZIMUTH
) -> Image.Image:
    """One RGB picture."""
    return next(render_frames(motion, [frame], size, azimuth))


def render_strip(
    motion: Motion, poses: int = 8, height: int = 320, azimuth: float = AZIMUTH, title: str = ""
) -> Image.Image:
    """Poses at equal steps of time from the first frame to the last, side by side, the time under each."""
    from PIL import Image, ImageDraw, ImageFont

    if poses < 1:
        raise MateError(f"got {poses} poses, expected at least 1")
    frames = np.unique(np.round(np.linspace(0, motion.frames - 1, poses)).astype(int))
    width, label = round(0.66 * height), max(10, round(height / 18))
    head = round(1.8 * label) if title else 0
    strip = Image.new("RGB", (width * len(frames), head + height + round(1.6 * label)), _WHITE)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(label)
    if title:
        draw.text((label, head / 2), title[:200].replace("\n", " "), fill=_LABEL, font=font, anchor="lm")
    panels = render_frames(motion, [int(f) for f in frames], (width, height), azimuth)
    for column, (frame, panel) in enumerate(zip(frames, panels, strict=True)):
        strip.paste(panel, (column * width, head))
        text = f"{frame / motion.fps:.1f} s"
        draw.text((column * width + width / 2, head + height), text, fill=_LABEL, font=font, anchor="ma")
    return strip


def _png_text(metadata: Mapping[str, str]) -> Any:
    from PIL import PngImagePlugin

    chunks = PngImagePlugin.PngInfo()
    for key, value in sorted(metadata.items()):
        chunks.add_itxt(key, value)
    return chunks


def write_strip(
    motion: Motion, path: str | Path, poses: int = 8, height: int = 480, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes `render_strip` as a PNG; metadata go into its text chunks."""
    strip = render_strip(motion, poses, height)
    with atomic_path(path) as temporary:
        strip.save(temporary, format="PNG", pnginfo=_png_text(metadata or {}))


def render_contact_sheet(
    motions: Sequence[Motion], titles: Sequence[str] | None = None, poses: int = 8, height: int = 200, columns: int = 1
) -> Image.Image:
    """Strips of many motions, one below the other (in `columns` columns), each with its title (default: the motion's name)."""
    from PIL import Image

    if not motions:
        raise MateError("got no motions for the sheet, expected at least one")
    names = [m.name for m in motions] if titles is None else list(titles)
    if len(names) != len(motions):
        raise MateError(f"got {len(names)} titles for {len(motions)} motions, expected as many")
    strips = [render_strip(m, poses, height, title=t or " ") for m, t in zip(motions, names, strict=True)]
    width, tall = max(s.width for s in strips), max(s.height for s in strips)
    sheet = Image.new("RGB", (width * columns, tall * math.ceil(len(strips) / columns)), _WHITE)
    for index, strip in enumerate(strips):
        sheet.paste(strip, (index % columns * width, index // columns * tall))
    return sheet


def write_contact_sheet(
    motions: Sequence[Motion],
    titles: Sequence[str] | None,
    path: str | Path,
    poses: int = 8,
    height: int = 200,
    columns: int = 1,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes `render_contact_sheet` as a PNG; metadata go into its text chunks."""
    sheet = render_contact_sheet(motions, titles, poses, height, columns)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", pnginfo=_png_text(metadata or {}))


def write_mp4(
    motion: Motion, path: str | Path, size: tuple[int, int] = (480, 480), metadata: Mapping[str, str] | None = None
) -> None:
    """Writes an H.264 MP4 at the motion's own frame rate; metadata go into its comment.

    Raises:
        MateError: odd picture sizes (the codec halves the colour planes), or no working ffmpeg.
    """
    import imageio_ffmpeg

    if size[0] % 2 or size[1] % 2:
        raise MateError(f"got a video of {size[0]} x {size[1]} pixels, expected even numbers")
    comment = "; ".join(f"{key}: {value}" for key, value in sorted((metadata or {}).items()) if value).replace("\0", "")
    # bitexact leaves out the encoder's version and the date; a fixed thread count, so that the same motion gives the same file.
    options = ["-preset", "veryfast", "-crf", "20", "-threads", "2", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
    options += ["-map_metadata", "-1", "-metadata", f"comment={comment}", "-movflags", "+faststart"]
    with atomic_path(path) as temporary:
        try:
            # The rate may be a float, and no quality setting leaves -crf to us: the annotations say otherwise.
            writer = imageio_ffmpeg.write_frames(
                str(temporary),
                size,
                fps=motion.fps,  # type: ignore[arg-type]
                codec="libx264",
                quality=None,  # type: ignore[arg-type]
                macro_block_size=2,
                output_params=options,
            )
            with closing(writer):
                writer.send(None)
                for picture in render_frames(motion, size=size):
                    writer.send(picture.tobytes())
        except (OSError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise MateError(f"cannot write {path}: ffmpeg failed ({reason}); try another format") from error
        if temporary.stat().st_size == 0:
            raise MateError(f"cannot write {path}: ffmpeg wrote nothing; try another format")


_GIF_RATE = 25.0  # pictures per second: the format counts in hundredths, and browsers slow down what is faster than 50


def write_gif(
    motion: Motion, path: str | Path, size: tuple[int, int] = (320, 320), metadata: Mapping[str, str] | None = None
) -> None:
    """Writes an animated GIF that repeats, at most 25 pictures per second; metadata go into its comment."""
    from PIL import Image

    count = max(1, math.ceil(motion.seconds * min(motion.fps, _GIF_RATE)))
    frames = np.minimum(np.round(np.arange(count) * motion.frames / count).astype(int), motion.frames - 1)
    pictures = list(render_frames(motion, [int(frame) for frame in frames], size))
    # One palette for all: colours that change from picture to picture flicker.
    sample = Image.new("RGB", (size[0], size[1] * min(count, 4)))
    for row, picture in enumerate(pictures[:: max(1, count // 4)][:4]):
        sample.paste(picture, (0, row * size[1]))
    palette = sample.quantize(96, method=Image.Quantize.MEDIANCUT)
    flat = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    ends = np.round(np.arange(1, count + 1) * 100 * motion.seconds / count)
    durations = (np.diff(ends, prepend=0) * 10).astype(int).tolist()
    comment = "; ".join(f"{key}: {value}" for key, value in sorted((metadata or {}).items()) if value)
    with atomic_path(path) as temporary:
        flat[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=flat[1:],
            duration=durations,
            loop=0,
            optimize=False,
            comment=comment.encode("utf-8")[:4000],
        )
