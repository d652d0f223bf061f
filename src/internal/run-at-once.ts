/** Runs work that pauses to its end without a pause: for threads, where nobody waits. Throws what it throws. */
export function runAtOnce<T>(work: Generator<void, T, void>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
