import { api, type Neighbours } from "./api";
import { byId, draw, make } from "./dom";

const [WIDTH, HEIGHT, EDGE] = [300, 260, 26];
const LISTED = 8;
const GAP = 11; // pixels between two labels

/** The words around a word, before and after the patch: hollow points move to filled ones. */
export class NeighbourPlot {
  readonly #plot = byId("plot", SVGSVGElement);
  readonly #facts = byId("plot-facts", HTMLParagraphElement);
  readonly #table = byId("near", HTMLTableElement);
  #asked = "";
  word = "";

  /** Asks the server for a word and shows what it says; the last word asked for wins. */
  async ask(word: string): Promise<void> {
    if (word === this.#asked) return;
    this.#asked = word;
    try {
      const found = await api.neighbours(word);
      if (this.#asked === word) this.#show(found);
    } catch (error) {
      this.#asked = "";
      this.#facts.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  #show(found: Neighbours): void {
    this.word = found.word;
    this.#facts.textContent = this.#summary(found);
    const all = found.points.flatMap((point) => [point.before, point.after]);
    const x = scale(all.map((place) => place[0]), EDGE, WIDTH - EDGE - 22);
    const y = scale(all.map((place) => place[1]), HEIGHT - EDGE, EDGE);
    const marks = found.points.map((point, number) => {
      const group = draw("g", { class: number === 0 ? "point self" : "point", tabindex: 0 });
      const [bx, by, ax, ay] = [x(point.before[0]), y(point.before[1]), x(point.after[0]), y(point.after[1])];
      const told = number === 0
        ? this.#summary(found)
        : `${point.word}: ${point.cosine_before.toFixed(2)} before, ${point.cosine_after.toFixed(2)} after`;
      group.append(
        draw("line", { x1: bx, y1: by, x2: ax, y2: ay }),
        draw("circle", { class: "before", cx: bx, cy: by, r: 3 }),
        draw("circle", { class: "after", cx: ax, cy: ay, r: number === 0 ? 5 : 3.5 }),
        draw("circle", { class: "target", cx: ax, cy: ay, r: 11 }),
      );
      const label = draw("text", { x: ax + 7, y: ay + 3 }, point.word);
      group.append(label);
      const show = () => (this.#facts.textContent = told);
      const hide = () => (this.#facts.textContent = this.#summary(found));
      group.addEventListener("pointerenter", show);
      group.addEventListener("focus", show);
      group.addEventListener("pointerleave", hide);
      group.addEventListener("blur", hide);
      return { group, label, x: ax, y: ay };
    });
    apart(marks);
    this.#plot.replaceChildren(...marks.map((mark) => mark.group).reverse());
    const head = make("tr");
    head.append(make("th", "before"), make("th"), make("th", "after"), make("th"));
    const rows = found.before.slice(0, LISTED).map((before, place) => {
      const row = make("tr");
      const after = found.after[place];
      const was = found.before.some((other) => other.word === after?.word);
      row.append(make("td", before.word), make("td", before.cosine.toFixed(2)));
      row.append(make("td", after?.word ?? "", was ? "" : "new"), make("td", after?.cosine.toFixed(2) ?? ""));
      return row;
    });
    this.#table.replaceChildren(head, ...rows);
  }

  #summary(found: Neighbours): string {
    if (found.moved > 0.99995) return `The patch does not move “${found.word}”; it moves some of the words around it.`;
    return `The patch moves “${found.word}” itself: cosine ${found.moved.toFixed(3)} to where it was.`;
  }
}

/** Values -> pixels between `from` and `to`. */
function scale(values: number[], from: number, to: number): (value: number) => number {
  const least = Math.min(...values);
  const span = Math.max(...values) - least || 1;
  return (value) => from + ((value - least) / span) * (to - from);
}

/** Moves labels down until none lies on another. */
function apart(marks: { label: SVGTextElement; x: number; y: number }[]): void {
  const placed: { left: number; right: number; y: number }[] = [];
  for (const mark of marks.sort((a, b) => a.y - b.y)) {
    const width = 5.6 * (mark.label.textContent ?? "").length;
    const right = mark.x + 7 + width > WIDTH;
    const left = right ? mark.x - 7 - width : mark.x + 7;
    let y = mark.y + 3;
    for (const other of placed) {
      if (left < other.right && other.left < left + width && Math.abs(y - other.y) < GAP) y = other.y + GAP;
    }
    placed.push({ left, right: left + width, y });
    mark.label.setAttribute("x", String(left));
    mark.label.setAttribute("y", String(y));
  }
}
