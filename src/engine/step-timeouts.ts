import { KilnError } from "../errors.js";
import type { BuildEvent } from "../model/events.js";
import type { Plan } from "../model/plan.js";

/** Watches how long the steps of a build run, and stops it when one takes longer than it may. */
export interface StepTimeouts {
  /** Aborts with the error of the step that took too long. */
  readonly signal: AbortSignal;
  /** Hears every event of the build, once the plan is there. */
  hear(event: BuildEvent): void;
  /** Stops watching. */
  close(): void;
}

interface Running {
  readonly vertices: Set<string>;
  timer: NodeJS.Timeout | undefined;
  /** When the first of what runs now began, by `performance.now`. */
  since: number;
  spentMs: number;
}

/**
 * Makes the watch over a plan's steps. A step's time runs while any of its ops does; the daemon's queue and its caches
 * do not count.
 */
export function watchTimeouts(plan: Pick<Plan, "steps">): StepTimeouts {
  const stop = new AbortController();
  const limited = plan.steps.filter(({ timeoutMs }) => timeoutMs !== undefined);
  const stepOf = new Map(limited.flatMap((step) => step.vertices.map((vertex) => [vertex, step] as const)));
  const running = new Map<number, Running>();
  const begin = (vertex: string): void => {
    const step = stepOf.get(vertex);
    if (step?.timeoutMs === undefined) return;
    const state = running.get(step.index) ?? { vertices: new Set(), timer: undefined, since: 0, spentMs: 0 };
    running.set(step.index, state);
    if (state.vertices.size === 0) {
      state.since = performance.now();
      const { timeoutMs, title, location } = step;
      state.timer = setTimeout(
        () =>
          stop.abort(
            new KilnError(
              "ERR_KILN_STEP_TIMEOUT",
              `step ${step.index + 1} took longer than ${timeoutMs} ms: ${title}`,
              {
                hint: "Give it more with timeoutMs, or find out what it waits for: its last output is above.",
                location,
              },
            ),
          ),
        Math.max(0, timeoutMs - state.spentMs),
      );
    }
    state.vertices.add(vertex);
  };
  const end = (vertex: string): void => {
    const step = stepOf.get(vertex);
    const state = step === undefined ? undefined : running.get(step.index);
    if (state === undefined || !state.vertices.delete(vertex) || state.vertices.size > 0) return;
    clearTimeout(state.timer);
    state.spentMs += performance.now() - state.since;
  };
  return {
    signal: stop.signal,
    hear(event) {
      if (event.type === "vertex.started") begin(event.vertex);
      else if (event.type === "vertex.done" || event.type === "vertex.failed") end(event.vertex);
      else if (event.type === "vertex.cached") end(event.vertex);
    },
    close() {
      for (const { timer } of running.values()) clearTimeout(timer);
    },
  };
}
