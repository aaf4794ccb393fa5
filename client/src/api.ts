/** What the server offers, with its types. Numbers of frames are at a take's own rate. */

export interface ModelInfo {
  name: string;
  license: string;
  min_seconds: number;
  max_seconds: number;
  guidance: number;
  patch: boolean;
}

export interface ServerState {
  version: string;
  loading: string;
  failure: string;
  models: ModelInfo[];
  queue: { waiting: number; running: number; kept: number };
  examples: string[];
  downloads: string[];
  limits: { upload: number; seconds: number; characters: number };
}

export interface Capsule {
  a: number;
  b: number;
  radius_a: number;
  radius_b: number;
  color: [number, number, number];
  joint_a: number;
  joint_b: number;
}

export interface Figure {
  points: number;
  joints: string[];
  parents: number[];
  capsules: Capsule[];
}

export interface Word {
  text: string;
  characters: [number, number];
  motion_word: boolean;
  segment: number;
  agreement: number;
  attention: number[];
  alone: number[];
  prior: number[];
  joints: number[];
}

export interface Grounding {
  frames: number;
  fps: number;
  omega: number;
  segments: { text: string; start: number; end: number }[];
  words: Word[];
}

export type Variant = "patched" | "plain" | "file";

export interface Take {
  variant: Variant;
  label: string;
  frames: number;
  fps: number;
  seconds: number;
  grounding: Grounding | null;
  note: string;
  facts: Record<string, string>;
}

export interface Result {
  caption: string;
  takes: Take[];
}

export interface JobStatus {
  id: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  progress: number;
  phase: string;
  position: number;
  error: string;
  result?: Result;
}

export interface Near {
  word: string;
  cosine: number;
}

export interface Neighbours {
  word: string;
  moved: number;
  before: Near[];
  after: Near[];
  points: {
    word: string;
    before: [number, number];
    after: [number, number];
    cosine_before: number;
    cosine_after: number;
  }[];
}

export interface Wanted {
  prompt: string;
  model: string;
  seconds: number | null;
  seed: number;
  guidance: number | null;
  variant: "patched" | "plain" | "both";
  whole: boolean;
}

/** An answer of the server that says what was wrong. */
export class ServerError extends Error {}

async function checked(answer: Response): Promise<Response> {
  if (answer.ok) return answer;
  const said = (await answer.json().catch(() => null)) as { error?: string } | null;
  throw new ServerError(said?.error ?? `the studio answered ${answer.status}`);
}

async function request(path: string, options?: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new ServerError("the studio does not answer; is `mate studio` still running?");
  }
  return checked(answer);
}

async function json<T>(path: string, options?: RequestInit): Promise<T> {
  return (await (await request(path, options)).json()) as T;
}

function post<T>(path: string, body?: unknown): Promise<T> {
  const headers = { "content-type": "application/json" };
  return json<T>(path, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
}

export const api = {
  state: () => json<ServerState>("api/state"),
  figure: () => json<Figure>("api/figure"),
  generate: (wanted: Wanted) => post<{ id: string }>("api/generate", wanted),
  ground: (id: string, caption: string) => post<{ id: string }>(`api/jobs/${id}/ground`, { caption }),
  job: (id: string) => json<JobStatus>(`api/jobs/${id}`),
  cancel: (id: string) => post<JobStatus>(`api/jobs/${id}/cancel`),
  neighbours: (word: string) => json<Neighbours>(`api/neighbours?word=${encodeURIComponent(word)}`),

  upload(files: File[], caption: string): Promise<{ id: string }> {
    const form = new FormData();
    form.append("caption", caption);
    for (const file of files) form.append("file", file);
    return json<{ id: string }>("api/upload", { method: "POST", body: form });
  },

  /** (T * P * 3) coordinates; the server sends little-endian floats, as every browser's machine has them. */
  async points(id: string, take: number): Promise<Float32Array> {
    return new Float32Array(await (await request(`api/jobs/${id}/takes/${take}/points`)).arrayBuffer());
  },

  download: (id: string, take: number, format: string) => `api/jobs/${id}/takes/${take}/file/${format}`,
};
