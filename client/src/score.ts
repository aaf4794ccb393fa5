import type { Grounding, Word } from "./api";
import { penFor } from "./dom";
import { runs, stretched } from "./lit";
import type { Theme } from "./theme";

export const GUTTER = 92; // pixels left of the time axis, for the words
const TRACK = 58;
const ROW = 20;
const SEGMENTS = 16;

/** What a picture of the words over time shows. */
export interface Shown {
  grounding: Grounding | null;
  seconds: number;
  /** Places of the words that have a row, in the caption's order. */
  rows: number[];
  /** The word that is pointed at, or null. */
  word: number | null;
  litFrames: number[];
  weights: (word: Word) => number[];
}

/** The timeline and, below it, the heat map words x frames; both share one axis. */
export class Score {
  #shown: Shown = { grounding: null, seconds: 0, rows: [], word: null, litFrames: [], weights: (word) => word.attention };
  readonly #head = document.createElement("div");

  constructor(
    private readonly box: HTMLElement,
    private readonly track: HTMLCanvasElement,
    private readonly heat: HTMLCanvasElement,
    private colors: () => Theme,
    told: { seek: (time: number) => void; hover: (word: number | null) => void; pick: (word: number) => void },
  ) {
    this.#head.id = "head";
    box.append(this.#head);
    new ResizeObserver(() => this.redraw()).observe(box);
    const scrub = (event: PointerEvent) => told.seek(this.#timeAt(event));
    track.addEventListener("pointerdown", (event) => {
      track.setPointerCapture(event.pointerId);
      scrub(event);
    });
    track.addEventListener("pointermove", (event) => {
      if (track.hasPointerCapture(event.pointerId)) scrub(event);
    });
    heat.addEventListener("pointermove", (event) => told.hover(this.#rowAt(event)));
    heat.addEventListener("pointerleave", () => told.hover(null));
    heat.addEventListener("click", (event) => {
      const word = this.#rowAt(event);
      if (word !== null) told.pick(word);
      if (event.offsetX > GUTTER) told.seek(this.#timeAt(event));
    });
  }

  show(shown: Shown): void {
    this.#shown = shown;
    this.redraw();
  }

  /** Moves the line that says when. */
  at(time: number): void {
    const { seconds } = this.#shown;
    const x = GUTTER + (seconds > 0 ? time / seconds : 0) * this.#width;
    this.#head.style.transform = `translateX(${x.toFixed(1)}px)`;
    const said = time.toFixed(1); // for screen readers, ten times a second at most
    if (this.track.getAttribute("aria-valuenow") !== said) this.track.setAttribute("aria-valuenow", said);
  }

  redraw(): void {
    this.track.setAttribute("aria-valuemin", "0");
    this.track.setAttribute("aria-valuemax", this.#shown.seconds.toFixed(1));
    this.#head.hidden = this.#shown.seconds <= 0;
    this.#drawTrack();
    this.#drawHeat();
  }

  get #width(): number {
    return Math.max(1, this.box.clientWidth - GUTTER);
  }

  #timeAt(event: MouseEvent): number {
    const left = this.track.getBoundingClientRect().left + GUTTER;
    return ((event.clientX - left) / this.#width) * this.#shown.seconds;
  }

  #rowAt(event: MouseEvent): number | null {
    return this.#shown.rows[Math.floor(event.offsetY / ROW)] ?? null;
  }

  #drawTrack(): void {
    const { grounding, seconds, word, litFrames } = this.#shown;
    const colors = this.colors();
    const pen = penFor(this.track, this.box.clientWidth, TRACK);
    pen.clearRect(0, 0, this.box.clientWidth, TRACK);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const x = (time: number) => GUTTER + (time / Math.max(seconds, 1e-6)) * this.#width;
    const bottom = TRACK - 16;
    pen.fillStyle = colors.line;
    pen.fillRect(GUTTER, SEGMENTS + 2, this.#width, bottom - SEGMENTS - 2);
    if (grounding) {
      grounding.segments.forEach((segment, number) => {
        const [from, to] = [x(segment.start), x(segment.end)];
        pen.fillStyle = colors.line;
        pen.fillRect(from + 1, 0, to - from - 2, SEGMENTS - 1);
        pen.fillStyle = colors.ink;
        clipped(pen, segment.text, from + 6, SEGMENTS / 2, to - from - 12);
        if (number > 0) {
          pen.fillStyle = colors.paper;
          pen.fillRect(from - 1, 0, 2, bottom);
        }
      });
      pen.fillStyle = colors.accent;
      for (const [first, last] of runs(litFrames)) {
        const [from, to] = [x(first / grounding.fps), x(Math.min(seconds, (last + 1) / grounding.fps))];
        pen.fillRect(from, SEGMENTS + 2, Math.max(2, to - from), bottom - SEGMENTS - 2);
      }
      const told = word === null ? undefined : grounding.words[word];
      if (told) this.#drawPrior(pen, told.prior, grounding.fps, x, bottom);
    }
    pen.fillStyle = colors.faint;
    pen.textAlign = "right";
    pen.fillText("time", GUTTER - 10, (SEGMENTS + bottom) / 2);
    const step = seconds > 12 ? 5 : seconds > 6 ? 2 : 1;
    for (let time = 0; seconds > 0 && time <= seconds + 1e-6; time += step) {
      pen.textAlign = time === 0 ? "left" : time > seconds - step / 4 ? "right" : "center";
      pen.fillText(`${time} s`, x(time), TRACK - 7);
    }
  }

  /** The hint from the segmentation: a dashed line, never a filled one, for it is not what the model found. */
  #drawPrior(
    pen: CanvasRenderingContext2D,
    prior: readonly number[],
    fps: number,
    x: (time: number) => number,
    bottom: number,
  ): void {
    pen.save();
    pen.strokeStyle = this.colors().hint;
    pen.lineWidth = 1.5;
    pen.setLineDash([4, 3]);
    pen.beginPath();
    prior.forEach((value, frame) => {
      const y = bottom - 1 - value * (bottom - SEGMENTS - 5);
      const place = x((frame + 0.5) / fps);
      if (frame === 0) pen.moveTo(place, y);
      else pen.lineTo(place, y);
    });
    pen.stroke();
    pen.restore();
  }

  #drawHeat(): void {
    const { grounding, seconds, rows, word, weights } = this.#shown;
    const colors = this.colors();
    const height = grounding ? ROW * rows.length : 0;
    const pen = penFor(this.heat, this.box.clientWidth, height);
    pen.clearRect(0, 0, this.box.clientWidth, height);
    if (!grounding || seconds <= 0) return;
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    const cell = this.#width / (seconds * grounding.fps);
    rows.forEach((place, row) => {
      const told = grounding.words[place];
      if (!told) return;
      const y = row * ROW;
      pen.globalAlpha = 1;
      pen.fillStyle = place === word ? colors.accent : colors.ink;
      clipped(pen, told.text, GUTTER - 10, y + ROW / 2, GUTTER - 14);
      pen.fillStyle = colors.line;
      pen.globalAlpha = 0.35;
      pen.fillRect(GUTTER, y + 1, this.#width, ROW - 2);
      pen.fillStyle = colors.accent;
      stretched(weights(told)).forEach((heat, frame) => {
        pen.globalAlpha = heat * (word === null || place === word ? 1 : 0.55);
        const from = Math.round(frame * cell); // whole pixels: half-covered edges would show as stripes
        pen.fillRect(GUTTER + from, y + 1, Math.round((frame + 1) * cell) - from, ROW - 2);
      });
    });
    pen.globalAlpha = 1;
  }
}

/** Text that ends in an ellipsis where it would be wider than `width`. */
function clipped(pen: CanvasRenderingContext2D, text: string, x: number, y: number, width: number): void {
  let shown = text;
  while (shown.length > 1 && pen.measureText(shown).width > width) shown = `${shown.slice(0, -2).trimEnd()}…`;
  if (width > 12) pen.fillText(shown, x, y);
}
