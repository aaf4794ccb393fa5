"""BVH, GLB and FBX through Blender: what its importers make of our files, frame by frame.

Needs a Python with Blender's `bpy` (PyPI, 4.5, about 950 MB, Python 3.11), in an environment of its own, named by MATE_BPY_PYTHON:

    python3.11 -m venv bpy && bpy/bin/pip install "bpy==4.5.*"
    MATE_BPY_PYTHON=bpy/bin/python pytest -m slow tests/formats/test_blender.py -s
"""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.formats.rigs import dancer, odd_rig

from mate.formats.bvh import load_bvh, read_bvh
from mate.formats.rig import NAMED, open_rig
from mate.formats.save import Output, save_motion
from mate.motion.motion import Motion

LIMIT = 1e-3  # metres
GOLDEN = ("007005", "009548", "011673", "012314", "M010655", "M010968")
SCRIPT = Path(__file__).with_name("blender_joints.py")


@pytest.fixture(scope="module")
def blender() -> str:
    python = os.environ.get("MATE_BPY_PYTHON")
    if not python:
        pytest.skip("MATE_BPY_PYTHON names no Python with bpy 4.5")
    assert Path(python).is_file(), f"MATE_BPY_PYTHON={python} is not there"
    return python


def through_blender(python: str, path: Path, motion: Motion) -> dict[str, np.ndarray]:
    """Joint name -> its positions (T, 3) as Blender shows them, in our axes."""
    out = path.with_suffix(".read.npz")
    command = [python, str(SCRIPT), str(path), str(out), str(motion.frames), str(motion.fps)]
    # Blender exits with 0 after errors too: what counts is the file.
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert out.is_file(), said.stdout[-2000:] + said.stderr[-2000:]
    with np.load(out) as found:
        x, y, z = np.moveaxis(found["positions"], -1, 0)
        places = np.stack((x, z, -y), axis=-1)
        assert places.shape == (motion.frames, len(found["names"]), 3)
        return {str(name): places[:, joint] for joint, name in enumerate(found["names"])}


def error(found: dict[str, np.ndarray], motion: Motion) -> float:
    return max(
        float(np.linalg.norm(found[name] - motion.joints[:, joint], axis=-1).max())
        for joint, name in enumerate(motion.skeleton.joint_names)
    )


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".bvh", ".glb"])
@pytest.mark.parametrize("name", ["curve", *GOLDEN])
def test_joints_stay_within_a_millimetre(
    blender: str, name: str, suffix: str, motion: Motion, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if name != "curve":
        path = request.getfixturevalue("shared_data") / "humanml3d-golden" / "new_joints" / f"{name}.npy"
        if not path.is_file():
            pytest.skip(f"no {path}")
        motion = Motion(np.load(path), 20.0, name=name)
    path = save_motion(motion, tmp_path / f"a{suffix}")
    worst = error(through_blender(blender, path, motion), motion)
    print(f"{name}{suffix}: {motion.frames} frames, worst joint {1000 * worst:.4f} mm")
    assert worst <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("rig", [*NAMED, "odd"])
def test_rigs_stand_in_blender_as_in_the_file(blender: str, rig: str, tmp_path: Path) -> None:
    motion = dancer(30)
    if rig == "odd":
        (tmp_path / "rig.bvh").write_text(odd_rig("YZX"))
        target = open_rig(tmp_path / "rig.bvh")
    else:
        target = open_rig(rig)
    path = save_motion(motion, tmp_path / "a.bvh", output=Output(rig=target))
    bvh = read_bvh(path)
    found = through_blender(blender, path, motion)
    joints = [name for name in bvh.names if not name.endswith("_end")]
    assert set(joints) <= set(found)
    worst = max(
        float(np.linalg.norm(found[name] - 0.01 * bvh.positions[:, bvh.names.index(name)], axis=-1).max())
        for name in joints
    )
    print(f"{rig}: worst joint {1000 * worst:.4f} mm")
    assert worst <= LIMIT
    assert load_bvh(path).frames == motion.frames


@pytest.mark.slow
def test_the_recipe_for_fbx(blender: str, motion: Motion, repository: Path, tmp_path: Path) -> None:
    """The script in docs/formats.md, as it stands there."""
    recipe = re.search(
        r"```python\n(.*?)```", (repository / "docs" / "formats.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert recipe is not None
    (tmp_path / "to_fbx.py").write_text(recipe.group(1))
    source = save_motion(motion, tmp_path / "a.glb")
    command = [blender, str(tmp_path / "to_fbx.py"), str(source), str(tmp_path / "a.fbx"), "20"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (tmp_path / "a.fbx").is_file(), said.stdout[-2000:] + said.stderr[-2000:]
    worst = error(through_blender(blender, tmp_path / "a.fbx", motion), motion)
    print(f"fbx: worst joint {1000 * worst:.4f} mm")
    assert worst <= LIMIT
