/** One clock for everything that moves: both bodies, the timeline and the heat map. */
export class Clock {
  playing = false;
  speed = 1;
  loop = true;
  #time = 0;
  #seconds = 0;

  get time(): number {
    return this.#time;
  }

  get seconds(): number {
    return this.#seconds;
  }

  /** A new motion: from its start. */
  reset(seconds: number): void {
    this.#seconds = seconds;
    this.#time = 0;
  }

  seek(time: number): void {
    this.#time = Math.min(Math.max(time, 0), this.#seconds);
  }

  /** Lets `seconds` pass; stops at the end unless it loops. */
  advance(seconds: number): void {
    if (!this.playing || this.#seconds <= 0) return;
    const next = this.#time + seconds * this.speed;
    if (next < this.#seconds) this.#time = next;
    else if (this.loop) this.#time = next % this.#seconds;
    else {
      this.#time = this.#seconds;
      this.playing = false;
    }
  }

  toggle(): void {
    if (!this.playing && this.#time >= this.#seconds) this.#time = 0;
    this.playing = !this.playing && this.#seconds > 0;
  }
}
