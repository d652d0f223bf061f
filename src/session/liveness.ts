/** How long after a daemon's last sign it counts as gone: it gives one every 5 s, the first when it has the session. */
const silenceMs = 20_000;

const tickMs = 1_000;

/**
 * Notices that the other side is silent.
 *
 * Counts ticks of this process, not time: while the process itself is busy or asleep nothing counts, as nothing could
 * have been heard.
 */
export class Liveness {
  #silentMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Notes a sign of life. */
  sign(): void {
    this.#silentMs = 0;
  }

  /** Calls `onSilence` once when there was no sign for too long. Keeps no process alive. */
  watch(onSilence: (silentMs: number) => void): void {
    this.#timer = setInterval(() => {
      this.#silentMs += tickMs;
      if (this.#silentMs < silenceMs) return;
      this.stop();
      onSilence(this.#silentMs);
    }, tickMs);
    this.#timer.unref();
  }

  /** Watches no longer. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
