/** What a build leaves for the next ones, and has time for while its daemon works, or in the end. */
export class LaterWork {
  readonly #waiting: (() => Promise<void>)[] = [];
  #running: Promise<void> = Promise.resolve();

  /** Adds what must not reject. */
  add(work: () => Promise<void>): void {
    this.#waiting.push(work);
  }

  /** Does what was added, one after another; resolves once all of it is done. */
  run(): Promise<void> {
    this.#running = this.#running.then(async () => {
      for (let work = this.#waiting.shift(); work !== undefined; work = this.#waiting.shift()) await work();
    });
    return this.#running;
  }
}
