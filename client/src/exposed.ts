/** What tests and curious people may read of the page; nothing here can be changed. */
export interface Readable {
  readonly ready: boolean;
  readonly id: string;
  readonly job: string;
  readonly phase: string;
  readonly position: number;
  readonly error: string;
  readonly views: readonly string[];
  readonly active: number;
  readonly time: number;
  readonly frame: number;
  readonly frames: number;
  readonly seconds: number;
  readonly motionFps: number;
  readonly playing: boolean;
  readonly speed: number;
  readonly fps: number;
  readonly drawn: number;
  readonly pixelRatio: number;
  readonly word: string | null;
  readonly litFrames: readonly number[];
  readonly litJoints: readonly string[];
  readonly hint: boolean;
  readonly neighbour: string;
  readonly roots: readonly (readonly [number, number, number])[];
}

export function expose(state: Readable): void {
  Object.defineProperty(window, "mateStudio", { value: Object.freeze(state), writable: false });
}
