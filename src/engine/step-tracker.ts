import type { StepRecord } from "../model/build-record.js";
import type { BuildEvent, SolveEvent } from "../model/events.js";
import type { PlanStep } from "../model/plan.js";

/** How a daemon's progress begins that is about a layer which it has, and unpacks upon others. */
const unpacking = "extracting ";

interface VertexOutcome {
  outcome: "cached" | "ran" | "failed" | "canceled";
  durationMs: number;
}

/** Follows the events of a build's solves by chain step. */
export interface StepTracker {
  /** Steps as a definition has them, before it is solved. */
  expect(steps: readonly PlanStep[]): void;
  /** Nothing of these steps will be solved: the daemon has what they made. */
  assume(steps: readonly PlanStep[]): void;
  /** A step that was carried out here: nothing of it is solved. */
  made(step: number, outcome: "cached" | "ran", durationMs: number): void;
  /** The event with the step it belongs to. */
  tag(event: SolveEvent): BuildEvent;
  /** How each step of the build's plan has ended so far. */
  records(steps: readonly PlanStep[]): readonly StepRecord[];
}

/** Makes a {@link StepTracker}. */
export function trackSteps(): StepTracker {
  const stepOf = new Map<string, number>();
  const vertices = new Map<string, VertexOutcome>();
  const worked = new Set<string>();
  const madeHere = new Map<number, VertexOutcome>();
  const note = (vertex: string, outcome: VertexOutcome["outcome"], durationMs: number): void => {
    const before = vertices.get(vertex);
    // What came from an imported cache is reported once more while its layers are fetched: that is not a run.
    const stays = before?.outcome === "cached" && outcome === "ran";
    vertices.set(vertex, {
      outcome: stays ? "cached" : outcome,
      durationMs: (before?.durationMs ?? 0) + durationMs,
    });
  };
  return {
    expect(steps) {
      for (const step of steps) for (const vertex of step.vertices) stepOf.set(vertex, step.index);
    },
    assume(steps) {
      for (const step of steps) for (const vertex of step.vertices) note(vertex, "cached", 0);
    },
    made(step, outcome, durationMs) {
      madeHere.set(step, { outcome, durationMs });
    },
    tag(event) {
      if (event.type === "vertex.cached") note(event.vertex, "cached", 0);
      else if (event.type === "vertex.done") note(event.vertex, "ran", event.durationMs);
      else if (event.type === "vertex.failed") {
        note(event.vertex, event.canceled ? "canceled" : "failed", event.durationMs);
      } else if (event.type === "progress" && (event.total > 0 || event.id.startsWith(unpacking))) {
        worked.add(event.vertex);
      }
      const step = "vertex" in event ? stepOf.get(event.vertex) : undefined;
      return step === undefined ? event : { ...event, step };
    },
    records: (steps) =>
      steps.map((step) => {
        const seen = step.vertices.flatMap((vertex) => vertices.get(vertex) ?? []);
        // A source is asked for its digest in every build. It counts where it is all there is to a step, and
        // then as work only if anything was transferred or unpacked.
        const work = step.vertices.filter((vertex) => !step.sources.includes(vertex));
        const telling = work.length > 0 ? work : step.sources;
        const outcomes = telling.flatMap((vertex): VertexOutcome["outcome"][] => {
          const outcome = vertices.get(vertex)?.outcome;
          if (outcome === undefined) return [];
          return [outcome === "ran" && work.length === 0 && !worked.has(vertex) ? "cached" : outcome];
        });
        const { index, id, title } = step;
        const made = outcomes.length === 0 ? madeHere.get(index) : undefined;
        if (made !== undefined) return { index, id, title, ...made };
        return {
          index,
          id,
          title,
          outcome: stepOutcome(step.vertices.length, outcomes),
          durationMs: seen.reduce((sum, { durationMs }) => sum + durationMs, 0),
        };
      }),
  };
}

function stepOutcome(ops: number, seen: readonly VertexOutcome["outcome"][]): StepRecord["outcome"] {
  if (ops === 0) return "config";
  if (seen.length === 0) return "unused";
  for (const outcome of ["failed", "canceled", "ran"] as const) {
    if (seen.includes(outcome)) return outcome;
  }
  return "cached";
}
