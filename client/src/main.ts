import { api, type Figure, type Grounding, type JobStatus, type Result, type ServerState, type Word } from "./api";
import { Chips } from "./chips";
import { Clock } from "./clock";
import { byId } from "./dom";
import { expose } from "./exposed";
import { Intake, offerDownloads } from "./files";
import { Form } from "./form";
import { JobWatch } from "./jobs";
import { holding } from "./lit";
import { NeighbourPlot } from "./neighbours";
import { Score } from "./score";
import { Stage } from "./stage";
import { onThemeChange, theme } from "./theme";
import { View } from "./view";
import { WordPanel } from "./wordpanel";

const LOADING_MS = 400;
const IDLE_MS = 4000;

let colors = theme();
let server: ServerState | null = null;
let figure: Figure | null = null;
let shown: { id: string; result: Result } | null = null;
let views: View[] = [];
let active = 0; // the view whose words are shown
let hovered: number | null = null;
let pinned: number | null = null;
let waitingFiles: File[] = [];
let status: JobStatus | null = null;
let complaint = "";
let drawn = 0;
let lit: { frames: number[]; joints: string[] } = { frames: [], joints: [] };

const clock = new Clock();
const watch = new JobWatch();
const stage = new Stage(byId("canvas", HTMLCanvasElement), colors);
const form = new Form({ generate: () => void generate(), cancel: () => void watch.cancel() });
const panel = new WordPanel();
const plot = new NeighbourPlot();
const chips = new Chips(byId("chips", HTMLDivElement), { hover, pick });
const track = byId("track", HTMLCanvasElement);
const score = new Score(byId("score", HTMLDivElement), track, byId("heat", HTMLCanvasElement), () => colors, {
  seek,
  hover,
  pick,
});
const toggles = {
  loop: byId("loop", HTMLInputElement),
  follow: byId("follow", HTMLInputElement),
  path: byId("path", HTMLInputElement),
  every: byId("every", HTMLInputElement),
  hint: byId("hint", HTMLInputElement),
};
const playButton = byId("play", HTMLButtonElement);
const timeShown = byId("time", HTMLOutputElement);
const findButton = byId("find", HTMLButtonElement);
const note = byId("note", HTMLParagraphElement);

// ---------------------------------------------------------------- jobs

async function run(start: () => Promise<{ id: string }>): Promise<void> {
  complain("");
  try {
    const found = await watch.follow(start, (told) => {
      status = told;
      form.busy(told);
    });
    if (found) await show(found);
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
  }
  if (!watch.active) form.busy(null);
}

async function generate(): Promise<void> {
  try {
    const wanted = form.wanted();
    await run(() => api.generate(wanted));
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
  }
}

/** Words of the caption in the dropped file, or in what is on the stage. */
async function findWords(): Promise<void> {
  const caption = form.caption.value.trim();
  if (!caption) {
    complain("Say in words what the motion shows, then find the words in it.");
    form.caption.focus();
    return;
  }
  const files = waitingFiles;
  const here = shown;
  if (files.length > 0) {
    await run(() => api.upload(files, caption));
    waitingFiles = [];
  } else if (here) await run(() => api.ground(here.id, caption));
}

function complain(message: string): void {
  complaint = message;
  form.complain(message);
}

// ---------------------------------------------------------------- what is shown

async function show(found: { id: string; result: Result }): Promise<void> {
  const body = (figure ??= await api.figure());
  const takes = found.result.takes;
  const points = await Promise.all(takes.map((_, number) => api.points(found.id, number)));
  shown = found;
  views = takes.map((take, number) => new View(body, take, points[number] ?? new Float32Array(), colors));
  for (const view of views) view.showPath(toggles.path.checked);
  stage.set(views);
  active = 0;
  hovered = pinned = null;
  clock.reset(Math.max(...takes.map((take) => take.seconds)));
  clock.playing = true;
  byId("empty", HTMLParagraphElement).hidden = true;
  playButton.disabled = findButton.disabled = false;
  label();
  choose();
  const first = grounding()?.words.find((word) => word.motion_word);
  if (first) void plot.ask(first.text);
}

/** Names above the views; a click makes one the view whose words are shown. */
function label(): void {
  const labels = views.map((view, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = views.length > 1 ? `${"AB"[number] ?? ""}  ${view.take.label}` : view.take.label;
    button.addEventListener("click", () => {
      active = number;
      choose();
    });
    return button;
  });
  byId("labels", HTMLDivElement).replaceChildren(...labels);
}

function grounding(number = active): Grounding | null {
  return views[number]?.take.grounding ?? null;
}

function weights(word: Word): number[] {
  return toggles.hint.checked ? word.attention : word.alone;
}

/** Everything that depends on which view's words are shown. */
function choose(): void {
  const view = views[active];
  if (!view || !shown) return;
  byId("labels", HTMLDivElement)
    .querySelectorAll("button")
    .forEach((button, number) => button.setAttribute("aria-pressed", String(number === active && views.length > 1)));
  chips.show(shown.result.caption, grounding());
  offerDownloads(shown.id, active, views.length > 1 ? view.take.label : "", server?.downloads ?? []);
  note.textContent = view.take.note;
  light();
}

/** Lights up the word that is pointed at, or else the one that was clicked. */
function light(): void {
  const place = hovered ?? pinned;
  const found = grounding();
  const word = place === null ? null : (found?.words[place] ?? null);
  const names = figure?.joints ?? [];
  lit = word
    ? { frames: holding(weights(word)), joints: holding(word.joints).map((joint) => names[joint] ?? "") }
    : { frames: [], joints: [] };
  views.forEach((view, number) => {
    const own = place === null ? undefined : grounding(number)?.words[place];
    const most = own ? Math.max(...own.joints, 1e-9) : 1;
    view.light(own ? own.joints.map((share) => share / most) : null, own ? holding(weights(own)) : []);
  });
  chips.mark(place, pinned);
  panel.show(word, word ? weights(word) : [], found, names);
  const rows = (found?.words ?? []).flatMap((other, row) => (toggles.every.checked || other.motion_word ? [row] : []));
  score.show({ grounding: found, seconds: clock.seconds, rows, word: place, litFrames: lit.frames, weights });
  score.at(clock.time);
  stage.dirty = true;
}

function hover(word: number | null): void {
  if (word === hovered) return;
  hovered = word;
  light();
}

function pick(word: number): void {
  pinned = pinned === word ? null : word;
  const text = grounding()?.words[word]?.text;
  if (text) void plot.ask(text);
  light();
}

function seek(time: number): void {
  clock.playing = false;
  clock.seek(time);
  stage.dirty = true;
}

// ---------------------------------------------------------------- the loop

let before = performance.now();
let shownTime = -1;

function tick(now: number): void {
  requestAnimationFrame(tick);
  const playing = clock.playing;
  clock.advance((now - before) / 1000);
  before = now;
  if (playing || stage.dirty) {
    for (const view of views) view.show(clock.time, toggles.follow.checked);
    if (!playing) stage.rest();
    stage.draw(now, playing);
    drawn++;
  }
  if (clock.time !== shownTime) {
    shownTime = clock.time;
    const text = `${clock.time.toFixed(1)} s`;
    if (timeShown.textContent !== text) timeShown.textContent = text;
    score.at(clock.time);
  }
  const sign = clock.playing ? "❚❚" : "▶";
  if (playButton.textContent !== sign) {
    playButton.textContent = sign;
    playButton.setAttribute("aria-label", clock.playing ? "Pause" : "Play");
  }
}

/** Asks how the server is: often while it loads, then seldom, and never from a tab in the background. */
async function ask(): Promise<void> {
  let wait = IDLE_MS;
  if (!document.hidden || server === null) {
    try {
      const state = await api.state();
      if (server === null) form.offer(state);
      server = state;
      form.server(state);
      if (state.loading && !state.failure) wait = LOADING_MS;
    } catch (error) {
      form.server(null, error instanceof Error ? error.message : String(error));
    }
  }
  setTimeout(() => void ask(), wait);
}

// ---------------------------------------------------------------- controls

playButton.addEventListener("click", () => clock.toggle());
byId("speed", HTMLSelectElement).addEventListener("change", (event) => {
  clock.speed = Number((event.currentTarget as HTMLSelectElement).value);
});
toggles.loop.addEventListener("change", () => (clock.loop = toggles.loop.checked));
toggles.follow.addEventListener("change", () => (stage.dirty = true));
toggles.path.addEventListener("change", () => {
  for (const view of views) view.showPath(toggles.path.checked);
  stage.dirty = true;
});
toggles.every.addEventListener("change", light);
toggles.hint.addEventListener("change", light);
track.addEventListener("keydown", (event) => {
  const step = 1 / (views[active]?.take.fps ?? 20);
  const moves: Record<string, number> = { ArrowLeft: -step, ArrowRight: step, PageDown: -1, PageUp: 1 };
  const move = moves[event.key];
  if (event.key === "Home") seek(0);
  else if (event.key === "End") seek(clock.seconds);
  else if (move !== undefined) seek(clock.time + move);
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  const target = event.target as HTMLElement;
  if (event.key !== " " || /^(INPUT|TEXTAREA|SELECT|BUTTON|A)$/.test(target.tagName)) return;
  event.preventDefault();
  clock.toggle();
});
byId("own", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void findWords();
});
byId("ask-word", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void plot.ask(byId("neighbour", HTMLInputElement).value.trim());
});
new Intake((files) => {
  const most = server?.limits.upload ?? Infinity;
  const large = files.find((file) => file.size > most);
  if (large) return complain(`${large.name} is larger than ${Math.round(most / 2 ** 20)} MiB; cut it shorter.`);
  waitingFiles = files;
  findButton.disabled = false;
  if (form.caption.value.trim()) void findWords();
  else {
    complain("");
    form.caption.focus();
    note.textContent = "What does the motion show? Write it beside the file, then find the words.";
  }
});
onThemeChange(() => {
  colors = theme();
  stage.paint(colors);
  light();
});

expose({
  get ready() {
    return server !== null && !server.loading && !server.failure;
  },
  get id() {
    return shown?.id ?? "";
  },
  get job() {
    return status?.state ?? "";
  },
  get phase() {
    return status?.phase ?? "";
  },
  get position() {
    return status?.position ?? 0;
  },
  get error() {
    return complaint;
  },
  get views() {
    return views.map((view) => view.take.variant);
  },
  get active() {
    return active;
  },
  get time() {
    return clock.time;
  },
  get frame() {
    const take = views[active]?.take;
    return take ? Math.min(Math.floor(clock.time * take.fps + 1e-6), take.frames - 1) : -1;
  },
  get frames() {
    return views[active]?.take.frames ?? 0;
  },
  get seconds() {
    return clock.seconds;
  },
  get motionFps() {
    return views[active]?.take.fps ?? 0;
  },
  get playing() {
    return clock.playing;
  },
  get speed() {
    return clock.speed;
  },
  get fps() {
    return stage.fps;
  },
  get drawn() {
    return drawn;
  },
  get pixelRatio() {
    return stage.pixelRatio;
  },
  get word() {
    const place = hovered ?? pinned;
    return place === null ? null : (grounding()?.words[place]?.text ?? null);
  },
  get litFrames() {
    return [...lit.frames];
  },
  get litJoints() {
    return [...lit.joints];
  },
  get hint() {
    return toggles.hint.checked;
  },
  get neighbour() {
    return plot.word;
  },
  get roots() {
    return views.map((view) => view.root);
  },
});

void ask();
requestAnimationFrame(tick);
