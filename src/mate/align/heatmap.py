"""Groundings to look at: heat bars for a terminal, and a PNG."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mate.align.grounding import GroundedWord, Grounding
from mate.files import atomic_path

if TYPE_CHECKING:
    from PIL.Image import Image

_BLOCKS = " ▁▂▃▄▅▆▇█"
_COLD, _HOT = np.array([247, 248, 252]), np.array([178, 24, 43])
_INK, _LINE, _PAPER = (30, 34, 44), (60, 90, 160), (255, 255, 255)


def pooled(attention: np.ndarray, columns: int) -> np.ndarray:
    """(T,) weights -> (columns,) mean weights of equal parts of the time, each at least one frame; the least is 0, the greatest 1.

    Only the shape is left: how far the attention is from even says `contrast`.
    """
    read = np.flatnonzero(attention)
    if len(read):  # the frames beyond the last whole latent unit have no weight of their own
        attention = np.concatenate(
            [attention[: read[-1] + 1], np.full(len(attention) - read[-1] - 1, attention[read[-1]])]
        )
    edges = np.linspace(0, len(attention), columns + 1)
    first = np.minimum(edges[:-1].astype(int), len(attention) - 1)
    last = np.maximum(np.ceil(edges[1:]).astype(int), first + 1)
    means = np.array([attention[a:b].mean() for a, b in zip(first, last, strict=True)])
    least, most = means.min(), means.max()
    return (means - least) / (most - least) if most > least else np.zeros(columns)


def contrast(word: GroundedWord) -> float:
    """A word's greatest weight as a multiple of even attention: 1 is even."""
    return float(word.attention.max() * len(word.attention))


def heat_bar(attention: np.ndarray, columns: int) -> str:
    """One line of blocks, taller where a word's attention is greater; the least is empty, the greatest a full block."""
    levels = np.ceil(pooled(attention, columns) * (len(_BLOCKS) - 1)).astype(int)
    return "".join(_BLOCKS[level] for level in levels)


def segment_bar(grounding: Grounding, columns: int) -> str:
    """The numbers of the segments under the heat bars: 1111122222."""
    seconds = (np.arange(columns) + 0.5) / columns * grounding.frames / grounding.fps
    numbers = [next((n for n, part in enumerate(grounding.segments) if t < part.end), 0) for t in seconds]
    return "".join(str((number + 1) % 10) for number in numbers)


def shown(grounding: Grounding, every_word: bool = False) -> list[GroundedWord]:
    """The words worth a line: those that may say something about movement, or all of them where none does."""
    chosen = [word for word in grounding.words if every_word or word.motion_word]
    return chosen or list(grounding.words)


def top_joints(word: GroundedWord, count: int = 3) -> str:
    """left_wrist 31%, left_elbow 20%"""
    return ", ".join(f"{name} {share:.0%}" for name, share in word.top_joints(count))


def draw(grounding: Grounding, every_word: bool = False) -> "Image":
    """A picture: a row of heat for every word over the time, the segments' bounds, and the joints beside it."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(16)
    words = shown(grounding, every_word)
    row, left, width, right, top, bottom = 30, 150, 640, 380, 44, 30 + 22 * (len(grounding.segments) + 1)
    picture = Image.new("RGB", (left + width + right, top + row * len(words) + bottom), _PAPER)
    pen: Any = ImageDraw.Draw(picture)
    pen.text((12, 12), grounding.text[:110].replace("\n", " "), fill=_INK, font=font)
    for number, word in enumerate(words):
        y = top + row * number
        heat = pooled(word.attention, width)[:, None]
        colors = (_COLD + (_HOT - _COLD) * heat).round().astype(np.uint8)
        band = np.broadcast_to(colors[None], (row - 4, width, 3))
        picture.paste(Image.fromarray(np.ascontiguousarray(band)), (left, y))
        pen.text((left - 10, y + row / 2 - 2), word.text[:16], fill=_INK, font=font, anchor="rm")
        pen.text(
            (left + width + 12, y + row / 2 - 2),
            f"x{contrast(word):.1f}  {top_joints(word, 2)}",
            fill=_INK,
            font=font,
            anchor="lm",
        )
    total, end = grounding.frames / grounding.fps, top + row * len(words)
    for part in grounding.segments[1:]:
        x = left + width * part.start / total
        pen.line((x, top, x, end), fill=_LINE, width=2)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        pen.text((left + width * share, end + 4), f"{share * total:.1f} s", fill=_INK, font=font, anchor="ma")
    for number, part in enumerate(grounding.segments):
        line = f"{number + 1}  {part.start:.1f} to {part.end:.1f} s  {' / '.join(part.texts)}"
        pen.text((left, end + 30 + 22 * number), line[:110].replace("\n", " "), fill=_LINE, font=font)
    return picture


def write_png(grounding: Grounding, path: str | Path, every_word: bool = False) -> None:
    """Writes `draw` as a PNG.

    Raises:
        MateError: the path cannot be written.
    """
    with atomic_path(path) as temporary:
        draw(grounding, every_word).save(temporary, format="PNG")
