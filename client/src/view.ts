import * as THREE from "three";
import type { Figure, Take } from "./api";
import { Body } from "./body";
import type { Theme } from "./theme";

const LIFT = 0.004; // metres above the floor, so that lines do not flicker in it

/** One motion in a scene of its own. */
export class View {
  readonly scene = new THREE.Scene();
  readonly #world = new THREE.Group();
  readonly #body: Body;
  readonly #grid: THREE.GridHelper;
  readonly #path: THREE.Line;
  readonly #marks: THREE.Points;
  readonly #shadow: THREE.Mesh;
  readonly #pose: Float32Array;
  readonly #middle: THREE.Vector3;
  readonly #accent = new THREE.Color();

  constructor(
    figure: Figure,
    readonly take: Take,
    readonly points: Float32Array,
    colors: Theme,
  ) {
    this.#pose = new Float32Array(3 * figure.points);
    this.#body = new Body(figure);
    this.#grid = new THREE.GridHelper(24, 48);
    this.#path = new THREE.Line(this.#roots(figure.points), new THREE.LineBasicMaterial());
    const dots = new THREE.PointsMaterial({ size: 5, sizeAttenuation: false });
    this.#marks = new THREE.Points(new THREE.BufferGeometry(), dots);
    this.#shadow = shadow();
    this.#middle = new THREE.Box3().setFromBufferAttribute(attribute(this.#path)).getCenter(new THREE.Vector3());
    this.#world.add(this.#grid, this.#path, this.#marks, this.#shadow);
    this.scene.add(this.#world, this.#body.mesh);
    const sun = new THREE.DirectionalLight(0xffffff, 1.9);
    sun.position.set(2, 5, 3);
    this.scene.add(sun, new THREE.HemisphereLight(0xffffff, 0x8a8070, 1.5));
    this.paint(colors);
    this.light(null, []);
  }

  /** Where the pelvis is in the moment that is shown, metres. */
  root: readonly [number, number, number] = [0, 0, 0];

  /** Shows the moment `time` (seconds); `follow`: the body stays in the middle, otherwise its path does. */
  show(time: number, follow: boolean): void {
    const frames = this.take.frames;
    const place = Math.min(time * this.take.fps, frames - 1);
    const first = Math.min(Math.floor(place), frames - 1);
    const second = Math.min(first + 1, frames - 1);
    const share = place - first;
    const count = this.#pose.length;
    for (let i = 0; i < count; i++) {
      const [a, b] = [this.points[first * count + i] ?? 0, this.points[second * count + i] ?? 0];
      this.#pose[i] = a + share * (b - a);
    }
    const [x, y, z] = [this.#pose[0] ?? 0, this.#pose[1] ?? 0, this.#pose[2] ?? 0];
    this.root = [x, y, z];
    this.#shadow.position.set(x, LIFT / 2, z);
    const centre = follow ? { x, z } : this.#middle;
    this.#world.position.set(-centre.x, 0, -centre.z);
    for (let i = 0; i < count; i += 3) {
      this.#pose[i] = (this.#pose[i] ?? 0) - centre.x;
      this.#pose[i + 2] = (this.#pose[i + 2] ?? 0) - centre.z;
    }
    this.#body.pose(this.#pose);
  }

  /**
   * Lights joints on the body and frames on the path.
   * @param glow see Body.light. @param frames the frames to mark.
   */
  light(glow: readonly number[] | null, frames: readonly number[]): void {
    this.#body.light(glow, this.#accent);
    const path = attribute(this.#path);
    const places = frames.flatMap((frame) => {
      const near = Math.min(frame, path.count - 1);
      return [path.getX(near), LIFT, path.getZ(near)];
    });
    this.#marks.geometry.dispose();
    this.#marks.geometry = new THREE.BufferGeometry();
    this.#marks.geometry.setAttribute("position", new THREE.Float32BufferAttribute(places, 3));
  }

  showPath(shown: boolean): void {
    this.#path.visible = shown;
    this.#marks.visible = shown;
  }

  paint(colors: Theme): void {
    this.#accent.set(colors.accent);
    this.scene.background = new THREE.Color(colors.stage);
    this.scene.fog = new THREE.Fog(colors.stage, 5, 12);
    const line = new THREE.Color(colors.grid);
    const vertices = this.#grid.geometry.getAttribute("color");
    for (let i = 0; i < vertices.count; i++) vertices.setXYZ(i, line.r, line.g, line.b);
    vertices.needsUpdate = true;
    (this.#path.material as THREE.LineBasicMaterial).color.set(colors.faint);
    (this.#marks.material as THREE.PointsMaterial).color.set(colors.accent);
  }

  dispose(): void {
    this.#body.dispose();
    for (const drawn of [this.#grid, this.#path, this.#marks, this.#shadow]) {
      drawn.geometry.dispose();
      for (const material of [drawn.material].flat()) {
        (material as THREE.MeshBasicMaterial).map?.dispose();
        material.dispose();
      }
    }
  }

  /** The pelvis' way over the floor. */
  #roots(pointsPerFrame: number): THREE.BufferGeometry {
    const places = Array.from({ length: this.take.frames }, (_, frame) => {
      const first = 3 * frame * pointsPerFrame;
      return [this.points[first] ?? 0, LIFT, this.points[first + 2] ?? 0];
    });
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.Float32BufferAttribute(places.flat(), 3));
    return geometry;
  }
}

function attribute(line: THREE.Line): THREE.BufferAttribute {
  return line.geometry.getAttribute("position") as THREE.BufferAttribute;
}

/** A soft dark disc below the body: no light is cast for it, which matters without a graphics card. */
function shadow(): THREE.Mesh<THREE.BufferGeometry, THREE.MeshBasicMaterial> {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext("2d");
  if (pen) {
    const fade = pen.createRadialGradient(32, 32, 2, 32, 32, 32);
    fade.addColorStop(0, "rgba(0, 0, 0, 0.3)");
    fade.addColorStop(1, "rgba(0, 0, 0, 0)");
    pen.fillStyle = fade;
    pen.fillRect(0, 0, 64, 64);
  }
  const map = new THREE.CanvasTexture(canvas);
  const material = new THREE.MeshBasicMaterial({ map, transparent: true, depthWrite: false });
  const disc = new THREE.Mesh(new THREE.PlaneGeometry(0.9, 0.9), material);
  disc.rotation.x = -Math.PI / 2;
  return disc;
}
