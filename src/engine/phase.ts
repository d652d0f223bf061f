import type { PhaseEvent } from "../model/events.js";

/** The event of a build that moves to another phase, now. */
export function phase(name: PhaseEvent["phase"], message: string): PhaseEvent {
  return { type: "phase", phase: name, message, at: Date.now() };
}
