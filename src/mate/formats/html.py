"""One HTML file that plays a motion in any browser, offline: plotly.js is inside."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mate.files import atomic_path
from mate.formats.figure import LEFT, RIGHT, SKIN, TRUNK, side_color
from mate.motion.motion import Motion

_MOST_FRAMES = 400  # longer motions are thinned out: the browser redraws the whole scene for every frame


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _bones(motion: Motion) -> list[tuple[str, str, list[tuple[int, int]]]]:
    """Name, colour and (parent, joint) pairs of the trunk, the left and the right limbs."""
    groups: list[tuple[str, str, list[tuple[int, int]]]] = []
    for name, color in (("trunk", TRUNK), ("left", LEFT), ("right", RIGHT)):
        pairs = [
            (parent, joint)
            for joint, parent in enumerate(motion.skeleton.parents)
            if parent >= 0 and side_color(motion.skeleton.joint_names[joint]) == color
        ]
        groups.append((name, _hex(color), pairs))
    return groups


def _lines(joints: np.ndarray, pairs: list[tuple[int, int]]) -> dict[str, list[float | None]]:
    """Coordinates of the bones of one frame (J, 3); None lifts the pen between two bones."""
    points: list[list[float | None]] = []
    for parent, joint in pairs:
        points += [joints[parent].tolist(), joints[joint].tolist(), [None, None, None]]
    return {axis: [point[i] for point in points] for i, axis in enumerate("xyz")}


def _floor(low: np.ndarray, high: np.ndarray) -> list[dict[str, Any]]:
    x0, z0 = np.floor(low[[0, 2]] - 0.5).tolist()
    x1, z1 = np.ceil(high[[0, 2]] + 0.5).tolist()
    x: list[float | None] = []
    z: list[float | None] = []
    for value in np.arange(x0, x1 + 0.1, 0.5).tolist():
        x += [value, value, None]
        z += [z0, z1, None]
    for value in np.arange(z0, z1 + 0.1, 0.5).tolist():
        x += [x0, x1, None]
        z += [value, value, None]
    still: dict[str, Any] = {"hoverinfo": "skip", "showlegend": False}
    plane = {
        "type": "mesh3d", "x": [x0, x1, x1, x0], "y": [-0.002] * 4, "z": [z0, z0, z1, z1], "i": [0, 0], "j": [1, 2],
        "k": [2, 3], "color": "#eef0f3", "opacity": 0.9,
    }  # fmt: skip
    y = [None if value is None else 0.0 for value in x]
    grid = {"type": "scatter3d", "mode": "lines", "x": x, "y": y, "z": z, "line": {"color": "#cfd4db", "width": 1}}
    return [{**plane, **still}, {**grid, **still}]


def _scene(motion: Motion) -> dict[str, Any]:
    step = max(1, -(-motion.frames // _MOST_FRAMES))
    joints = np.round(motion.joints[::step].astype(np.float64), 3)
    groups = _bones(motion)
    low, high = joints.min((0, 1)), joints.max((0, 1))
    floor = _floor(low, high)

    def lines(frame: np.ndarray) -> list[dict[str, Any]]:
        return [{"type": "scatter3d", **_lines(frame, pairs)} for _, _, pairs in groups] + head(frame)

    def head(frame: np.ndarray) -> list[dict[str, Any]]:
        names = motion.skeleton.joint_names
        if "head" not in names:
            return []
        x, y, z = frame[names.index("head")].tolist()
        return [{"type": "scatter3d", "x": [x], "y": [round(y + 0.05, 3)], "z": [z]}]

    first: list[dict[str, Any]] = [
        {**trace, "mode": "lines+markers", "name": name, "hoverinfo": "skip",
         "line": {"color": color, "width": 12}, "marker": {"color": color, "size": 5}}
        for trace, (name, color, _) in zip(lines(joints[0]), groups, strict=False)
    ]  # fmt: skip
    first += [
        {**trace, "mode": "markers", "marker": {"color": _hex(SKIN), "size": 11, "opacity": 1}, "hoverinfo": "skip",
         "showlegend": False}
        for trace in head(joints[0])
    ]  # fmt: skip
    moving = list(range(len(floor), len(floor) + len(first)))
    frames = [{"name": str(i), "traces": moving, "data": lines(frame)} for i, frame in enumerate(joints)]
    every = 1000 * step / motion.fps
    now = {"mode": "immediate", "fromcurrent": True, "transition": {"duration": 0}}
    play = {**now, "frame": {"duration": every, "redraw": True}}
    stop = {**now, "frame": {"duration": 0, "redraw": True}}
    steps = [
        {"label": f"{i * step / motion.fps:.2f}", "method": "animate", "args": [[str(i)], stop]}
        for i in range(len(joints))
    ]
    # Room for the grid as well as the body, the same scale on all axes.
    ranges = [
        [float(np.floor(low[0] - 0.5)), float(np.ceil(high[0] + 0.5))],
        [min(0.0, float(low[1])) - 0.01, max(2.0, float(high[1]) + 0.2)],
        [float(np.floor(low[2] - 0.5)), float(np.ceil(high[2] + 0.5))],
    ]
    hidden = {"visible": False}
    layout = {
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "showlegend": True,
        "legend": {"x": 0.01, "y": 0.99},
        "scene": {
            "xaxis": {**hidden, "range": ranges[0]},
            "yaxis": {**hidden, "range": ranges[1]},
            "zaxis": {**hidden, "range": ranges[2]},
            "aspectmode": "data",
            "camera": {"up": {"x": 0, "y": 1, "z": 0}, "eye": {"x": -0.95, "y": 0.45, "z": 0.95}, "center": {"x": 0, "y": -0.12, "z": 0}},
        },
        "updatemenus": [
            {
                "type": "buttons", "direction": "left", "x": 0.01, "y": 0.02, "xanchor": "left", "yanchor": "bottom",
                "buttons": [
                    {"label": "Play", "method": "animate", "args": [None, play]},
                    {"label": "Pause", "method": "animate", "args": [[None], stop]},
                ],
            }
        ],
        "sliders": [
            {"x": 0.16, "len": 0.82, "y": 0.06, "currentvalue": {"prefix": "seconds: "}, "steps": steps, "ticklen": 0,
             "minorticklen": 0, "tickwidth": 0, "font": {"color": "rgba(0,0,0,0)"}}
        ],
    }  # fmt: skip
    return {"data": floor + first, "layout": layout, "frames": frames}


def write_html(motion: Motion, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a page with play, pause and a slider. Motions of more than 400 frames are thinned out, the pace is kept.

    The title is the prompt if the metadata have one, else the motion's name. All texts are escaped: nothing in them is markup.
    """
    import plotly.io

    metadata = dict(metadata or {})
    title = html.escape(metadata.get("prompt") or motion.name or "motion")
    rows = "".join(
        f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>" for key, value in sorted(metadata.items()) if value
    )
    figure = plotly.io.to_html(
        _scene(motion),
        config={"displaylogo": False, "responsive": True},
        auto_play=False,
        include_plotlyjs=True,
        full_html=False,
        default_height="78vh",
        validate=False,
        div_id="motion",
    )
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 1rem; color: #23272f; background: #fff; }}
h1 {{ font-size: 1.2rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; color: #5a5f69; overflow-wrap: anywhere; }}
dd {{ margin: 0; }}
</style>
</head>
<body>
<h1>{title}</h1>
{figure}
<dl>{rows}</dl>
</body>
</html>
"""
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
