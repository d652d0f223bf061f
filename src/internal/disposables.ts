/**
 * Collects clean-up steps and runs them last-in, first-out, each once.
 *
 * Node 20 and 22 have no `AsyncDisposableStack`; this is the part of it that Kiln needs. Every step runs
 * even if an earlier one throws; the first error is thrown at the end.
 */
export class Disposables implements AsyncDisposable {
  #steps: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  /** Adds a step. After `close` has begun the step runs at once. */
  defer(step: () => unknown): void {
    if (this.#closing !== undefined) {
      void step();
      return;
    }
    this.#steps.push(step);
  }

  /** Adds a value that disposes itself, and returns it. */
  use<T extends AsyncDisposable>(value: T): T {
    this.defer(() => value[Symbol.asyncDispose]());
    return value;
  }

  /** Runs all steps; calling it again returns the first call's promise. */
  close(): Promise<void> {
    this.#closing ??= this.#run();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
