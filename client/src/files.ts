import { byId, make } from "./dom";
import { api } from "./api";

/** Files in: by drag and drop anywhere on the page, or chosen. */
export class Intake {
  readonly #choose = byId("choose", HTMLButtonElement);
  readonly #drop = byId("drop", HTMLDivElement);

  constructor(private readonly got: (files: File[]) => void) {
    const input = byId("file", HTMLInputElement);
    this.#choose.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.#take([...(input.files ?? [])]);
      input.value = "";
    });
    let inside = 0; // dragging over a child leaves its parent: count
    const carries = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const cover = (change: number) => {
      inside = Math.max(0, inside + change);
      this.#drop.hidden = inside === 0;
    };
    window.addEventListener("dragenter", (event) => carries(event) && cover(1));
    window.addEventListener("dragleave", (event) => carries(event) && cover(-1));
    window.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
    window.addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      cover(-inside);
      this.#take([...(event.dataTransfer?.files ?? [])]);
    });
  }

  #take(files: File[]): void {
    if (files.length === 0) return;
    this.#choose.textContent = files.map((file) => file.name).join(" + ");
    this.got(files);
  }
}

/** Links to the files of a take. */
export function offerDownloads(job: string, take: number, label: string, formats: string[]): void {
  const box = byId("downloads", HTMLDivElement);
  box.hidden = false;
  const which = box.querySelector("span");
  if (which) which.textContent = label;
  const links = formats.map((format) => {
    const link = make("a", format === "npz" ? "npz" : format.toUpperCase());
    link.href = api.download(job, take, format);
    link.download = "";
    return link;
  });
  box.querySelector(".links")?.replaceChildren(...links);
}
