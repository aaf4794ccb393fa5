import * as THREE from "three";
import type { Capsule, Figure } from "./api";

const AROUND = 12;
const RINGS = 4;
const JOINTS = 22;
const UP = new THREE.Vector3(0, 1, 0);

/**
 * The mannequin: one mesh of capsules, skinned to two bones a capsule, one at either end, that share its direction; so it fits
 * a body of any size. The vertices are moved here and not by the graphics card: there are few of them, and a software
 * renderer needs longer to look the bones up than to draw the whole body.
 */
export class Body {
  readonly mesh: THREE.Mesh<THREE.BufferGeometry, THREE.MeshLambertMaterial>;
  readonly #capsules: Capsule[];
  readonly #rest: Float32Array; // where a vertex is from its bone, while the bone points up
  readonly #normal: Float32Array;
  readonly #bone: Uint16Array; // 2 * capsule + end
  readonly #base: Float32Array;
  readonly #carrier: Uint16Array; // the joint that lights a vertex up
  readonly #bones: Float32Array; // 3 x 4 a bone, row by row: rotation and place
  readonly #positions: THREE.BufferAttribute;
  readonly #normals: THREE.BufferAttribute;
  readonly #colors: THREE.BufferAttribute;
  readonly #along = new THREE.Vector3();
  readonly #turn = new THREE.Quaternion();
  readonly #matrix = new THREE.Matrix4();

  constructor(figure: Figure) {
    this.#capsules = figure.capsules;
    const built = build(figure.capsules);
    this.#rest = new Float32Array(built.rest);
    this.#normal = new Float32Array(built.normals);
    this.#bone = new Uint16Array(built.bones);
    this.#base = new Float32Array(built.colors);
    this.#carrier = new Uint16Array(built.carriers);
    this.#bones = new Float32Array(12 * 2 * figure.capsules.length);
    const attribute = (values: number[]) =>
      new THREE.Float32BufferAttribute(values, 3).setUsage(THREE.DynamicDrawUsage) as THREE.BufferAttribute;
    this.#positions = attribute(built.rest);
    this.#normals = attribute(built.normals);
    this.#colors = attribute(built.colors);
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", this.#positions);
    geometry.setAttribute("normal", this.#normals);
    geometry.setAttribute("color", this.#colors);
    geometry.setIndex(built.faces);
    this.mesh = new THREE.Mesh(geometry, new THREE.MeshLambertMaterial({ vertexColors: true }));
    this.mesh.frustumCulled = false;
  }

  /** Places the body: points (P, 3) of one moment. */
  pose(points: Float32Array): void {
    this.#capsules.forEach((capsule, number) => {
      const place = (point: number, axis: number) => points[3 * point + axis] ?? 0;
      this.#along.set(
        place(capsule.b, 0) - place(capsule.a, 0),
        place(capsule.b, 1) - place(capsule.a, 1),
        place(capsule.b, 2) - place(capsule.a, 2),
      );
      if (this.#along.lengthSq() > 1e-12) this.#turn.setFromUnitVectors(UP, this.#along.normalize());
      else this.#turn.identity();
      const turned = this.#matrix.makeRotationFromQuaternion(this.#turn).elements; // column by column
      for (const [end, point] of [capsule.a, capsule.b].entries()) {
        const first = 12 * (2 * number + end);
        for (let row = 0; row < 3; row++) {
          for (let column = 0; column < 3; column++) {
            this.#bones[first + 4 * row + column] = turned[4 * column + row] ?? 0;
          }
          this.#bones[first + 4 * row + 3] = place(point, row);
        }
      }
    });
    this.#skin();
  }

  /**
   * Lights joints up.
   * @param glow one number in [0, 1] a joint, or null: the body in its own colours.
   */
  light(glow: readonly number[] | null, accent: THREE.Color): void {
    const colors = this.#colors.array as Float32Array;
    const [base, target] = [this.#base, [accent.r, accent.g, accent.b]];
    for (let vertex = 0; vertex < this.#carrier.length; vertex++) {
      const share = glow?.[this.#carrier[vertex] ?? 0] ?? 0;
      const first = 3 * vertex;
      // What is not lit turns grey, so that the lit joints stand out from the colours of the sides.
      const grey = ((base[first] ?? 0) + (base[first + 1] ?? 0) + (base[first + 2] ?? 0)) / 3;
      const fade = glow ? 0.8 : 0;
      const strength = share ** 1.5; // the largest shares should be seen first
      for (let i = 0; i < 3; i++) {
        const own = base[first + i] ?? 0;
        colors[first + i] = (own + fade * (grey - own)) * (1 - strength) + (target[i] ?? 0) * strength;
      }
    }
    this.#colors.needsUpdate = true;
  }

  dispose(): void {
    this.mesh.geometry.dispose();
    this.mesh.material.dispose();
  }

  /** Moves every vertex with its bone. */
  #skin(): void {
    const positions = this.#positions.array as Float32Array;
    const normals = this.#normals.array as Float32Array;
    const [rest, normal, bones] = [this.#rest, this.#normal, this.#bones];
    for (let vertex = 0; vertex < this.#bone.length; vertex++) {
      const bone = 12 * (this.#bone[vertex] ?? 0);
      const first = 3 * vertex;
      const [x, y, z] = [rest[first] ?? 0, rest[first + 1] ?? 0, rest[first + 2] ?? 0];
      const [u, v, w] = [normal[first] ?? 0, normal[first + 1] ?? 0, normal[first + 2] ?? 0];
      for (let row = 0; row < 3; row++) {
        const at = bone + 4 * row;
        const [a, b, c, d] = [bones[at] ?? 0, bones[at + 1] ?? 0, bones[at + 2] ?? 0, bones[at + 3] ?? 0];
        positions[first + row] = a * x + b * y + c * z + d;
        normals[first + row] = a * u + b * v + c * w;
      }
    }
    this.#positions.needsUpdate = true;
    this.#normals.needsUpdate = true;
  }
}

/** The vertices of all capsules: a half sphere at either end and, between them, the faces of a cone. */
function build(capsules: Capsule[]) {
  const built = {
    rest: [] as number[],
    normals: [] as number[],
    bones: [] as number[],
    colors: [] as number[],
    carriers: [] as number[],
    faces: [] as number[],
  };
  const rows = 2 * (RINGS + 1);
  capsules.forEach((capsule, number) => {
    const [red, green, blue] = capsule.color.map((value) => value / 255) as [number, number, number];
    const color = new THREE.Color().setRGB(red, green, blue, THREE.SRGBColorSpace);
    const first = built.rest.length / 3;
    for (let row = 0; row < rows; row++) {
      const upper = row > RINGS; // the lower half belongs to end a, the upper one to end b
      const angle = (((upper ? row - 1 : row) - RINGS) / RINGS) * (Math.PI / 2);
      const radius = upper ? capsule.radius_b : capsule.radius_a;
      const point = upper ? capsule.b : capsule.a;
      for (let side = 0; side <= AROUND; side++) {
        const around = (side / AROUND) * 2 * Math.PI;
        const normal = [Math.cos(angle) * Math.cos(around), Math.sin(angle), Math.cos(angle) * Math.sin(around)];
        built.rest.push(...normal.map((value) => radius * value));
        built.normals.push(...normal);
        built.bones.push(2 * number + Number(upper));
        built.colors.push(color.r, color.g, color.b);
        built.carriers.push(point < JOINTS ? point : upper ? capsule.joint_b : capsule.joint_a);
        if (row < rows - 1 && side < AROUND) {
          const here = first + row * (AROUND + 1) + side;
          const above = here + AROUND + 1;
          built.faces.push(here, above, here + 1, here + 1, above, above + 1);
        }
      }
    }
  });
  return built;
}
