import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { cancelWhenBegun } from "../../../src/solver/cancel-when-begun.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** When a build is cancelled, in milliseconds after the abort; `undefined` = never within two seconds. */
function cancelledAfter(
  buildkitVersion: string | undefined,
  youngestMs: () => number | undefined,
): number | undefined {
  const from = performance.now();
  let at: number | undefined;
  cancelWhenBegun({ buildkitVersion, youngestMs }, () => {
    at = performance.now() - from;
  });
  vi.advanceTimersByTime(2_000);
  return at;
}

/** A vertex that had been running for so long when the build was aborted. */
function running(forMs: number): () => number {
  const startedAt = performance.now() - forMs;
  return () => performance.now() - startedAt;
}

it("cancels at once where the daemon stops commands that have not begun", () => {
  expect(cancelledAfter("0.15", running(0))).toBe(0);
  expect(cancelledAfter("1.2", running(0))).toBe(0);
});

it("waits on other daemons until the command that started last has begun", () => {
  expect(cancelledAfter("0.13", running(0))).toBe(200);
  expect(cancelledAfter("0.14", running(150))).toBe(50);
  expect(cancelledAfter(undefined, running(30))).toBe(170);
});

it("cancels at once where nothing runs, or has begun long ago", () => {
  expect(cancelledAfter("0.13", () => undefined)).toBe(0);
  expect(cancelledAfter("0.13", running(200))).toBe(0);
});

it("cancels a build of which something starts all the time after a second", () => {
  expect(cancelledAfter("0.13", () => 10)).toBe(1_000);
});

it("is taken back when the build has ended meanwhile", () => {
  const cancel = vi.fn();
  const takeBack = cancelWhenBegun({ buildkitVersion: "0.13", youngestMs: running(0) }, cancel);
  takeBack();
  vi.advanceTimersByTime(2_000);
  expect(cancel).not.toHaveBeenCalled();
});
