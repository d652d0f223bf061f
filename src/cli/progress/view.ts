import type { BuildEvent } from "../../model/events.js";

/** Shows the events of a build, on standard error. */
export interface ProgressView {
  show(event: BuildEvent): void;
  /** Draws the final state and gives the terminal back. Idempotent. */
  close(): void;
}

/** Where a view writes and what it knows of that place. */
export interface ViewTarget {
  write(text: string): void;
  readonly columns: number;
  readonly rows: number;
  /** Milliseconds since 1970. */
  now(): number;
}
