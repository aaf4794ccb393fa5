"""Run by a Python that has Blender's `bpy`, not by pytest: imports a BVH, GLB or FBX file with Blender's own importer and saves where the
bones' heads are in every frame.

    python blender_joints.py FILE OUT.npz FRAMES FPS

OUT.npz: names (J,), positions (FRAMES, J, 3) float64 in Blender's world, metres, Z up.
"""

import sys

import bpy  # pyright: ignore[reportMissingImports]
import numpy as np


def main(file: str, out: str, frames: int, fps: float) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = round(fps)
    scene.render.fps_base = round(fps) / fps
    if file.endswith(".bvh"):
        first = 1  # the importer starts no earlier
        bpy.ops.import_anim.bvh(filepath=file, axis_forward="-Z", axis_up="Y", global_scale=0.01, frame_start=first)
    elif file.endswith(".fbx"):
        first = 1
        bpy.ops.import_scene.fbx(filepath=file)
    else:
        first = 0
        bpy.ops.import_scene.gltf(filepath=file)
    rigs = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
    if len(rigs) != 1:
        raise SystemExit(f"{len(rigs)} armatures, expected one")
    rig = rigs[0]
    names = [bone.name for bone in rig.pose.bones]
    positions = np.zeros((frames, len(names), 3))
    for frame in range(frames):
        scene.frame_set(first + frame)
        for joint, bone in enumerate(rig.pose.bones):
            positions[frame, joint] = rig.matrix_world @ bone.head
    np.savez(out, names=np.array(names), positions=positions)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
