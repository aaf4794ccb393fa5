import type { Grounding } from "./api";
import { make } from "./dom";

/** The caption's words as buttons; what lies between them stays as plain text. */
export class Chips {
  #buttons = new Map<number, HTMLButtonElement>();

  constructor(
    private readonly box: HTMLElement,
    private readonly told: { hover: (word: number | null) => void; pick: (word: number) => void },
  ) {}

  show(caption: string, grounding: Grounding | null): void {
    this.#buttons.clear();
    const parts: Node[] = [];
    let read = 0;
    grounding?.words.forEach((word, place) => {
      const [start, end] = word.characters;
      const between = caption.slice(read, start).trim();
      if (between) parts.push(make("span", between));
      const button = make("button", caption.slice(start, end), word.motion_word ? "chip" : "chip quiet");
      button.type = "button";
      button.dataset["word"] = String(place);
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("pointerenter", () => this.told.hover(place));
      button.addEventListener("pointerleave", () => this.told.hover(null));
      button.addEventListener("focus", () => this.told.hover(place));
      button.addEventListener("blur", () => this.told.hover(null));
      button.addEventListener("click", () => this.told.pick(place));
      this.#buttons.set(place, button);
      parts.push(button);
      read = end;
    });
    const rest = caption.slice(read).trim();
    if (rest) parts.push(make("span", rest));
    this.box.replaceChildren(...parts);
  }

  /** `shown`: the word that is lit; `pinned`: the one that was clicked. */
  mark(shown: number | null, pinned: number | null): void {
    for (const [place, button] of this.#buttons) {
      button.classList.toggle("lit", place === shown);
      button.setAttribute("aria-pressed", String(place === pinned));
    }
  }
}
