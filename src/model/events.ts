/** A vertex began to run. Times are milliseconds since 1970 by the daemon's clock. */
export interface VertexStartedEvent {
  readonly type: "vertex.started";
  readonly vertex: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly at: number;
}

/** A vertex was answered from the daemon's cache. */
export interface VertexCachedEvent {
  readonly type: "vertex.cached";
  readonly vertex: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly at: number;
}

/** A vertex ran to its end. */
export interface VertexDoneEvent {
  readonly type: "vertex.done";
  readonly vertex: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly at: number;
  readonly durationMs: number;
}

/** A vertex failed or was cancelled; `error` is the daemon's own text. */
export interface VertexFailedEvent {
  readonly type: "vertex.failed";
  readonly vertex: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly at: number;
  readonly durationMs: number;
  readonly error: string;
  readonly canceled: boolean;
}

/** A sub-task of a vertex moved on: a download, an upload, an extraction. Units are the daemon's (mostly bytes). */
export interface ProgressEvent {
  readonly type: "progress";
  readonly vertex: string;
  /** Stable id of the sub-task within the vertex. */
  readonly id: string;
  readonly name: string;
  readonly current: number;
  /** 0 = unknown. */
  readonly total: number;
  readonly done: boolean;
  readonly at: number;
}

/**
 * Output of a vertex. Text is decoded across chunk borders and may hold partial lines. The line by which the daemon says
 * that it left output out is not part of it: that is a {@link LogClippedEvent}.
 */
export interface LogEvent {
  readonly type: "log";
  readonly vertex: string;
  readonly stream: "stdout" | "stderr";
  readonly text: string;
  readonly at: number;
}

/** A limit of the daemon's on what a step may print to one stream, that was reached. */
export interface LogClip {
  readonly stream: "stdout" | "stderr";
  /** `size` = bytes in all (2 MiB unless the daemon is set otherwise), `speed` = bytes a second (200 KiB). */
  readonly limit: "size" | "speed";
  readonly limitBytes: number;
}

/**
 * The daemon leaves out output of a vertex from here on, because it is too much or comes too fast. After `speed`, what is
 * printed more slowly comes again. When the vertex fails, the daemon still sends up to 256 KiB of the end.
 */
export interface LogClippedEvent extends LogClip {
  readonly type: "log.clipped";
  readonly vertex: string;
  readonly at: number;
}

/** A warning that the daemon attached to a vertex. */
export interface WarningEvent {
  readonly type: "warning";
  readonly vertex: string;
  readonly level: number;
  readonly message: string;
  readonly detail: readonly string[];
  readonly url: string;
}

/** Logs that this iterator did not read in time were dropped. */
export interface LogsDroppedEvent {
  readonly type: "logs.dropped";
  readonly bytes: number;
}

/** What a solve reports while it runs. */
export type SolveEvent =
  | VertexStartedEvent
  | VertexCachedEvent
  | VertexDoneEvent
  | VertexFailedEvent
  | ProgressEvent
  | LogEvent
  | LogClippedEvent
  | WarningEvent
  | LogsDroppedEvent;

/** The build moved to another phase of its own: before, between and after what the daemon reports. */
export interface PhaseEvent {
  readonly type: "phase";
  readonly phase: "connect" | "resolve" | "solve" | "done";
  /** One line for people. */
  readonly message: string;
  readonly at: number;
}

/** The chain was compiled: what will be asked of the daemon, by step. */
export interface PlannedEvent {
  readonly type: "planned";
  readonly steps: readonly { readonly index: number; readonly id: string; readonly title: string }[];
  readonly at: number;
}

/** What `engine.build` reports: the solve's events, each with the chain step it belongs to where there is one. */
export type BuildEvent = PhaseEvent | PlannedEvent | (SolveEvent & { readonly step?: number | undefined });
