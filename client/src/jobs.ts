import { api, ServerError, type JobStatus, type Result } from "./api";

const RUNNING_MS = 200;
const LONGEST_WAIT_MS = 2000;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Watches one job of this tab until it ends. Asking for another one cancels it. */
export class JobWatch {
  #current: string | null = null;

  get active(): boolean {
    return this.#current !== null;
  }

  /**
   * Starts a job and follows it.
   * @returns its result, or null where it was cancelled.
   */
  async follow(
    start: () => Promise<{ id: string }>,
    told: (status: JobStatus) => void,
  ): Promise<{ id: string; result: Result } | null> {
    await this.cancel();
    const { id } = await start();
    this.#current = id;
    try {
      let wait = RUNNING_MS;
      for (;;) {
        const status = await api.job(id);
        told(status);
        if (status.state === "done" && status.result) return { id, result: status.result };
        if (status.state === "failed") throw new ServerError(status.error);
        if (status.state === "cancelled") return null;
        // The further back in the queue, the less often a tab asks.
        wait = status.state === "queued" ? Math.min(LONGEST_WAIT_MS, wait * 1.3) : RUNNING_MS;
        await pause(wait);
      }
    } finally {
      if (this.#current === id) this.#current = null;
    }
  }

  async cancel(): Promise<void> {
    if (this.#current !== null) await api.cancel(this.#current).catch(() => undefined);
  }
}
