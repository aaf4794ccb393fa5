import type { JobStatus, ModelInfo, ServerState, Wanted } from "./api";
import { byId, make } from "./dom";

/** The form on the left: what is asked for, how far it is, what went wrong. */
export class Form {
  readonly prompt = byId("prompt", HTMLTextAreaElement);
  readonly caption = byId("caption", HTMLInputElement);
  readonly #model = byId("model", HTMLSelectElement);
  readonly #seconds = byId("seconds", HTMLInputElement);
  readonly #seed = byId("seed", HTMLInputElement);
  readonly #guidance = byId("guidance", HTMLInputElement);
  readonly #whole = byId("whole", HTMLInputElement);
  readonly #variants = byId("variant", HTMLFieldSetElement);
  readonly #generate = byId("generate", HTMLButtonElement);
  readonly #cancel = byId("cancel", HTMLButtonElement);
  readonly #progress = byId("progress", HTMLDivElement);
  readonly #error = byId("error", HTMLParagraphElement);
  readonly #server = byId("server", HTMLParagraphElement);
  #models: ModelInfo[] = [];

  constructor(told: { generate: () => void; cancel: () => void }) {
    byId("form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      told.generate();
    });
    this.#cancel.addEventListener("click", told.cancel);
    this.prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      told.generate();
    });
    byId("dice", HTMLButtonElement).addEventListener("click", () => {
      this.#seed.value = String(Math.floor(Math.random() * 100_000));
    });
    this.#model.addEventListener("change", () => this.#adapt());
  }

  /** Fills in what the server offers. */
  offer(state: ServerState): void {
    this.#models = state.models;
    this.#model.replaceChildren(...state.models.map((model) => new Option(model.name, model.name)));
    this.#adapt();
    const examples = state.examples.map((text) => {
      const button = make("button", text);
      button.type = "button";
      button.addEventListener("click", () => {
        this.prompt.value = text;
        this.prompt.focus();
      });
      return button;
    });
    byId("examples", HTMLDivElement).replaceChildren(...examples);
    if (!this.prompt.value) this.prompt.value = state.examples[0] ?? "";
  }

  /** The line at the top: whether models are loaded, and how many are waiting. */
  server(state: ServerState | null, error = ""): void {
    const { waiting = 0, running = 0 } = state?.queue ?? {};
    const busy = `${running ? "making a motion" : "ready"}${waiting ? `, ${waiting} waiting` : ""}`;
    const text = error || state?.failure || (state?.loading ? `loading ${state.loading}` : busy);
    this.#server.textContent = text;
    this.#server.className = error || state?.failure ? "bad" : state?.loading || running ? "busy" : "";
  }

  /** What is asked for. Throws an Error that says which field is wrong. */
  wanted(): Wanted {
    const model = this.#models.find((info) => info.name === this.#model.value);
    if (!model) throw new Error("the studio does not answer yet; wait a moment");
    const prompt = this.prompt.value.trim();
    if (!prompt) throw new Error("The prompt is empty; say in words what the body does.");
    const variant = new FormData(byId("form", HTMLFormElement)).get("variant");
    return {
      prompt,
      model: model.name,
      seconds: optional(this.#seconds, "Seconds", model.min_seconds, model.max_seconds),
      seed: Math.round(optional(this.#seed, "Seed", 0, Number.MAX_SAFE_INTEGER) ?? 0),
      guidance: optional(this.#guidance, "Guidance", 0, 100),
      variant: model.patch && (variant === "plain" || variant === "both") ? variant : "patched",
      whole: this.#whole.checked,
    };
  }

  busy(status: JobStatus | null): void {
    this.#progress.hidden = status === null;
    this.#cancel.hidden = status === null;
    this.#generate.textContent = status === null ? "Generate" : "Generate another";
    const bar = this.#progress.querySelector("progress");
    const line = this.#progress.querySelector("p");
    if (!status || !bar || !line) return;
    bar.value = status.progress;
    const before = status.position === 1 ? "1 motion" : `${status.position} motions`;
    const queued = status.position > 0 ? `waiting: ${before} before yours` : "waiting for the models";
    line.textContent = status.state === "queued" ? queued : `${status.phase} … ${Math.round(100 * status.progress)} %`;
  }

  complain(message: string): void {
    this.#error.hidden = message === "";
    this.#error.textContent = message;
  }

  /** Limits and defaults of the chosen model. */
  #adapt(): void {
    const model = this.#models.find((info) => info.name === this.#model.value);
    if (!model) return;
    this.#model.title = `Licence of the weights: ${model.license}`;
    this.#seconds.min = String(model.min_seconds);
    this.#seconds.max = String(model.max_seconds);
    this.#guidance.value = String(model.guidance);
    this.#variants.disabled = !model.patch;
    this.#variants.title = model.patch ? "" : `${model.name} was made without a word patch`;
  }
}

function optional(input: HTMLInputElement, name: string, least: number, most: number): number | null {
  if (input.value.trim() === "" && !input.validity.badInput) return null;
  const value = input.valueAsNumber;
  if (!(value >= least && value <= most)) throw new Error(`${name}: expected a number from ${least} to ${most}.`);
  return value;
}
