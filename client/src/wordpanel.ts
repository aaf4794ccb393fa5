import type { Grounding, Word } from "./api";
import { byId, make } from "./dom";

const SHOWN = 7;

/** What is known of one word: when it peaks, how sure, and which joints it rests on. */
export class WordPanel {
  readonly #name = byId("word-name", HTMLHeadingElement);
  readonly #facts = byId("word-facts", HTMLParagraphElement);
  readonly #joints = byId("joints", HTMLOListElement);

  show(word: Word | null, weights: number[], grounding: Grounding | null, names: string[]): void {
    if (!word || !grounding) {
      this.#name.textContent = "Point at a word";
      this.#facts.textContent = "Its frames light up on the timeline, its joints on the body.";
      this.#joints.replaceChildren();
      return;
    }
    const most = Math.max(...weights);
    const peak = (weights.indexOf(most) + weights.lastIndexOf(most) + 1) / 2 / grounding.fps;
    const times = most * weights.length;
    this.#name.textContent = `“${word.text}”`;
    this.#facts.textContent =
      `Attention peaks at ${peak.toFixed(1)} s, ${times.toFixed(1)} times even. ` +
      `The word and what it reads agree by ${word.agreement.toFixed(2)} (cosine).`;
    const order = word.joints.map((_, joint) => joint).sort((a, b) => (word.joints[b] ?? 0) - (word.joints[a] ?? 0));
    const largest = word.joints[order[0] ?? 0] ?? 0;
    const rows = order.slice(0, SHOWN).flatMap((joint) => {
      const share = word.joints[joint] ?? 0;
      if (share <= 0) return [];
      const row = make("li");
      const bar = make("i");
      bar.style.width = `${((100 * share) / largest).toFixed(1)}%`;
      const track = make("span", "", "bar");
      track.append(bar);
      row.append(make("span", (names[joint] ?? "").replaceAll("_", " ")), track, make("b", `${Math.round(100 * share)} %`));
      return [row];
    });
    this.#joints.replaceChildren(...rows);
  }
}
