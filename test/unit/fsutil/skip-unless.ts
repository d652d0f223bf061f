import type { TestContext } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** Why the test was skipped; printed and counted by `npm test`. */
    reason?: string;
  }
}

/** Skips the rest of a test, saying why, unless this machine has what it needs. */
export function skipUnless({ task, skip }: TestContext, condition: boolean, reason: string): void {
  if (condition) return;
  task.meta.reason = reason;
  skip(reason);
}
