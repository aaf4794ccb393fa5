"""GLB: an animated, skinned body that any glTF 2.0 viewer opens.

The skeleton is the rig of `mate.motion.rotations` (glTF's axes are ours: metres, Y up, facing +Z); the body is the figure of
`mate.formats.figure` as a mesh, bound to the rig in its T-pose. One animation turns the joints and moves the root.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mate.files import atomic_path
from mate.formats.figure import Capsule, Color, body_figure
from mate.motion.motion import Motion
from mate.motion.rotations import RigMotion, joints_to_rig

_SEGMENTS = 16  # round the capsule
_RINGS = 5  # from a cap's pole to its rim

_FLOAT, _UBYTE, _USHORT = 5126, 5121, 5123
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_NUMPY = {_FLOAT: np.dtype("<f4"), _UBYTE: np.dtype("u1"), _USHORT: np.dtype("<u2")}


def _capsule_mesh(
    a: np.ndarray, b: np.ndarray, radius_a: float, radius_b: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), normals (V, 3), along (V,) 0 at the end a and 1 at b, triangles (F, 3), seen from outside."""
    axis = b - a
    length = float(np.linalg.norm(axis))
    axis = axis / length if length > 1e-6 else np.array([0.0, 1.0, 0.0])
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    # The straight part touches both spheres at the same latitude.
    tilt = math.asin(min(max((radius_a - radius_b) / max(length, 1e-6), -1.0), 1.0)) if length > 1e-6 else 0.0
    latitudes = np.concatenate((np.linspace(-math.pi / 2, tilt, _RINGS), np.linspace(tilt, math.pi / 2, _RINGS)))
    along = np.repeat((0.0, 1.0), _RINGS)
    turn = np.arange(_SEGMENTS) * (2 * math.pi / _SEGMENTS)
    around = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * other
    normals = np.cos(latitudes)[:, None, None] * around + np.sin(latitudes)[:, None, None] * axis
    radius = np.where(along == 0, radius_a, radius_b)[:, None, None]
    vertices = a + along[:, None, None] * (b - a) + radius * normals
    rows, columns = np.meshgrid(np.arange(2 * _RINGS - 1), np.arange(_SEGMENTS), indexing="ij")
    here, right = rows * _SEGMENTS + columns, rows * _SEGMENTS + (columns + 1) % _SEGMENTS
    up, up_right = here + _SEGMENTS, right + _SEGMENTS
    # Against the poles one of the two triangles has no area.
    lower = np.stack((here, right, up_right), axis=-1)[1:]
    upper = np.stack((here, up_right, up), axis=-1)[:-1]
    triangles = np.concatenate((lower.reshape(-1, 3), upper.reshape(-1, 3)))
    vertices = vertices.reshape(-1, 3)
    # A sphere (both ends in one place) has an empty straight part.
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    triangles = triangles[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]
    return vertices, normals.reshape(-1, 3), np.repeat(along, _SEGMENTS), triangles


class _Buffer:
    """Collects the binary part: every array a buffer view and an accessor of its own, aligned to four bytes."""

    def __init__(self, gltf: Any) -> None:
        self.gltf = gltf
        self.data = bytearray()

    def add(self, array: np.ndarray, component: int, kind: str, target: int | None = None, bounds: bool = False) -> int:
        """The index of a new accessor of type `kind` ("SCALAR", "VEC3", ...)."""
        from pygltflib import Accessor, BufferView

        array = np.ascontiguousarray(array, dtype=_NUMPY[component])
        blob = array.tobytes()
        start = len(self.data)
        self.data += blob + b"\0" * (-len(blob) % 4)
        self.gltf.bufferViews.append(BufferView(buffer=0, byteOffset=start, byteLength=len(blob), target=target))
        accessor = Accessor(
            bufferView=len(self.gltf.bufferViews) - 1,
            byteOffset=0,
            componentType=component,
            count=len(array),
            type=kind,
        )
        if bounds:
            table = array.reshape(len(array), -1)
            accessor.min, accessor.max = table.min(0).tolist(), table.max(0).tolist()
        self.gltf.accessors.append(accessor)
        return len(self.gltf.accessors) - 1


def _carrier(rig: RigMotion, motion: Motion, joint: int, point: int) -> int:
    """The rig joint that carries a point of the figure: what turns the bone that ends in `joint`, or `joint` itself
    for the flesh beyond the last joint of a limb."""
    beyond = joint not in motion.skeleton.parents and point >= motion.skeleton.joints
    return rig.joint_index[joint] if beyond else rig.parents[rig.joint_index[joint]]


def _add_body(gltf: Any, buffer: _Buffer, rig: RigMotion, motion: Motion, rest: np.ndarray) -> None:
    from pygltflib import Attributes, Material, Mesh, PbrMetallicRoughness, Primitive

    still = Motion(rest[None, list(rig.joint_index)], motion.fps, motion.skeleton)
    points, capsules = body_figure(still)
    groups: dict[Color, list[Capsule]] = {}
    for capsule in capsules:
        groups.setdefault(capsule.color, []).append(capsule)
    mesh = Mesh(name="body", primitives=[])
    for color, members in groups.items():
        parts = []
        for capsule in members:
            ends = (points[0, capsule.a], points[0, capsule.b])
            vertices, normals, along, triangles = _capsule_mesh(*ends, capsule.radius_a, capsule.radius_b)
            carriers = [
                _carrier(rig, motion, bone, point)
                for bone, point in ((capsule.bone_a, capsule.a), (capsule.bone_b, capsule.b))
            ]
            carrier = np.where(along == 0, carriers[0], carriers[1])
            parts.append((vertices, normals, carrier, triangles))
        starts = np.cumsum([0] + [len(part[0]) for part in parts[:-1]])
        vertices, normals, carrier = (np.concatenate([part[i] for part in parts]) for i in range(3))
        triangles = np.concatenate([part[3] + start for part, start in zip(parts, starts, strict=True)])
        joints = np.zeros((len(vertices), 4), dtype=np.uint8)
        joints[:, 0] = carrier
        weights = np.zeros((len(vertices), 4))
        weights[:, 0] = 1.0
        red, green, blue = ((c / 255) ** 2.2 for c in color)  # sRGB to linear
        gltf.materials.append(
            Material(
                name="#{:02x}{:02x}{:02x}".format(*color),
                pbrMetallicRoughness=PbrMetallicRoughness(
                    baseColorFactor=[round(red, 4), round(green, 4), round(blue, 4), 1.0],
                    metallicFactor=0.0,
                    roughnessFactor=0.7,
                ),
                alphaMode="OPAQUE",
                alphaCutoff=None,
            )
        )
        unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        mesh.primitives.append(
            Primitive(
                attributes=Attributes(
                    POSITION=buffer.add(vertices, _FLOAT, "VEC3", _ARRAY_BUFFER, bounds=True),
                    NORMAL=buffer.add(unit, _FLOAT, "VEC3", _ARRAY_BUFFER),
                    JOINTS_0=buffer.add(joints, _UBYTE, "VEC4", _ARRAY_BUFFER),
                    WEIGHTS_0=buffer.add(weights, _FLOAT, "VEC4", _ARRAY_BUFFER),
                ),
                indices=buffer.add(triangles.reshape(-1), _USHORT, "SCALAR", _ELEMENT_BUFFER),
                material=len(gltf.materials) - 1,
            )
        )
    gltf.meshes.append(mesh)


def write_glb(
    motion: Motion,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
) -> None:
    """Writes a GLB. Nodes are named as the joints.

    Args:
        metadata: goes into `asset.extras`, a `license` also into `asset.copyright`.
        names: other names for the joints; then without helper nodes, see `mate.motion.rotations.joints_to_rig`.

    Source: glTF 2.0 specification (Khronos Group).
    """
    from pygltflib import (
        GLTF2,
        Animation,
        AnimationChannel,
        AnimationChannelTarget,
        AnimationSampler,
        Asset,
        Buffer,
        Node,
        Scene,
        Skin,
    )

    rig = joints_to_rig(motion, names)
    rest = rig.rest_positions()
    rest[:, 1] -= rest[:, 1].min() - 0.02  # the T-pose stands on the floor
    metadata = {key: value for key, value in sorted((metadata or {}).items()) if value}
    gltf = GLTF2(asset=Asset(version="2.0", generator="mate", copyright=metadata.get("license"), extras=metadata))
    buffer = _Buffer(gltf)
    _add_body(gltf, buffer, rig, motion, rest)

    # Node 0 is the skinned mesh, the rig follows.
    gltf.nodes.append(Node(name=motion.name or "motion", mesh=0, skin=0))
    for joint, (name, parent) in enumerate(zip(rig.names, rig.parents, strict=True)):
        place = rest[joint] if parent < 0 else rig.offsets[joint]
        children = [child + 1 for child, above in enumerate(rig.parents) if above == joint]
        gltf.nodes.append(Node(name=name, translation=[float(v) for v in place], children=children))
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(rest), 1, 1))
    inverse[:, 3, :3] = -rest  # column-major: the translation is the last row in memory
    matrices = buffer.add(inverse.reshape(len(rest), 16), _FLOAT, "MAT4")
    gltf.skins.append(
        Skin(name="rig", inverseBindMatrices=matrices, skeleton=1, joints=[joint + 1 for joint in range(len(rest))])
    )

    seconds = np.arange(motion.frames, dtype=np.float64) / motion.fps
    times = buffer.add(seconds, _FLOAT, "SCALAR", bounds=True)
    animation = Animation(name="motion", samplers=[], channels=[])

    def animate(joint: int, what: str, output: int) -> None:
        animation.samplers.append(AnimationSampler(input=times, output=output, interpolation="LINEAR"))
        target = AnimationChannelTarget(node=joint + 1, path=what)
        animation.channels.append(AnimationChannel(sampler=len(animation.samplers) - 1, target=target))

    animate(0, "translation", buffer.add(rig.root_positions, _FLOAT, "VEC3"))
    for joint in range(len(rig.names)):
        if joint in rig.parents:
            animate(joint, "rotation", buffer.add(rig.quaternions[:, joint, [1, 2, 3, 0]], _FLOAT, "VEC4"))
    gltf.animations.append(animation)

    gltf.scenes.append(Scene(name="scene", nodes=[0, 1]))
    gltf.scene = 0
    gltf.buffers.append(Buffer(byteLength=len(buffer.data)))
    gltf.set_binary_blob(bytes(buffer.data))
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(gltf.save_to_bytes()))
