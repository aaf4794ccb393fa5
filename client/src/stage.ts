import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import type { Theme } from "./theme";
import type { View } from "./view";

const SLOW = 22; // frames a second below which the picture gets coarser
const RATIOS = [2, 1.5, 1, 0.75];

/** One canvas; each view has its own part of it and its own scene, all share one camera that is turned by dragging. */
export class Stage {
  readonly #renderer: THREE.WebGLRenderer;
  readonly #camera = new THREE.PerspectiveCamera(38, 1, 0.05, 60);
  readonly #controls: OrbitControls;
  #views: View[] = [];
  #ratio: number;
  #stamps: number[] = [];
  #slowSince = 0;
  dirty = true;

  constructor(
    readonly canvas: HTMLCanvasElement,
    colors: Theme,
  ) {
    // Without a graphics card, smooth edges would cost more than everything else together.
    const antialias = accelerated();
    this.#renderer = new THREE.WebGLRenderer({ canvas, antialias, powerPreference: "high-performance" });
    this.#renderer.setScissorTest(true);
    this.#renderer.autoClear = false;
    this.#ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.#camera.position.set(1.6, 1.35, 3.4);
    this.#controls = new OrbitControls(this.#camera, canvas);
    this.#controls.target.set(0, 0.88, 0);
    this.#controls.maxPolarAngle = Math.PI / 2 - 0.02;
    this.#controls.minDistance = 1;
    this.#controls.maxDistance = 14;
    this.#controls.addEventListener("change", () => (this.dirty = true));
    this.#controls.update();
    new ResizeObserver(() => this.#fit()).observe(canvas.parentElement ?? canvas);
    this.paint(colors);
    this.#fit();
  }

  /** Pictures a second over the last second. */
  get fps(): number {
    const first = this.#stamps[0];
    const last = this.#stamps.at(-1);
    if (first === undefined || last === undefined || last <= first) return 0;
    return ((this.#stamps.length - 1) * 1000) / (last - first);
  }

  get pixelRatio(): number {
    return this.#ratio;
  }

  set(views: View[]): void {
    for (const view of this.#views) view.dispose();
    this.#views = views;
    this.rest();
    this.dirty = true;
  }

  paint(colors: Theme): void {
    this.#renderer.setClearColor(colors.stage);
    for (const view of this.#views) view.paint(colors);
    this.dirty = true;
  }

  /** Draws all views side by side. `now`: milliseconds; `playing`: whether the rate is worth measuring. */
  draw(now: number, playing: boolean): void {
    this.dirty = false;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const count = Math.max(1, this.#views.length);
    if (this.#views.length === 0) {
      this.#renderer.setScissor(0, 0, width, height);
      this.#renderer.setViewport(0, 0, width, height);
      this.#renderer.clear();
    }
    this.#views.forEach((view, number) => {
      const left = Math.round((number * width) / count);
      const right = Math.round(((number + 1) * width) / count) - (number < count - 1 ? 1 : 0);
      this.#renderer.setViewport(left, 0, right - left, height);
      this.#renderer.setScissor(left, 0, right - left, height);
      this.#camera.aspect = (right - left) / Math.max(1, height);
      this.#camera.updateProjectionMatrix();
      this.#renderer.clear();
      this.#renderer.render(view.scene, this.#camera);
    });
    if (playing) this.#measure(now);
  }

  /** Forgets the rate: what comes next starts anew. */
  rest(): void {
    this.#stamps = [];
  }

  #measure(now: number): void {
    this.#stamps.push(now);
    while ((this.#stamps[0] ?? now) < now - 1000) this.#stamps.shift();
    const slow = this.#stamps.length > 5 && this.fps < SLOW;
    if (!slow) this.#slowSince = now;
    else if (now - this.#slowSince > 700) {
      // Without a graphics card the number of pixels decides: a coarser picture keeps the motion smooth.
      const coarser = RATIOS.find((ratio) => ratio < this.#ratio);
      this.#slowSince = now;
      if (coarser !== undefined) {
        this.#ratio = coarser;
        this.#fit();
      }
    }
  }

  #fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement ?? this.canvas;
    this.#renderer.setPixelRatio(this.#ratio);
    this.#renderer.setSize(width, height, false); // this clears the canvas
    this.draw(performance.now(), false);
  }
}

/** Whether drawing is done by a graphics card: a software renderer is a "major performance caveat". */
function accelerated(): boolean {
  const probe = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  probe?.getExtension("WEBGL_lose_context")?.loseContext();
  return probe !== null;
}
