import type { BuildEvent } from "../../model/events.js";
import { cleanText, lastRedraw } from "../clean-text.js";
import { clipNote } from "../clip-note.js";

/** Last log lines kept of each row. */
const logLines = 6;

/** A sub-task of a row: a download, an upload. */
export interface SubTask {
  readonly name: string;
  readonly current: number;
  readonly total: number;
  readonly done: boolean;
}

/** How a row stands. */
export type RowStatus = "waiting" | "running" | "cached" | "done" | "failed" | "canceled";

/** One line of progress: a chain step, or a vertex of the daemon's own (a pull, an export). */
export interface Row {
  readonly key: string;
  readonly title: string;
  readonly status: RowStatus;
  /** Milliseconds since 1970 by this machine's clock; `undefined` = not begun. */
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  /** Ops that have ended, by outcome; a row is cached when all were. */
  readonly cachedOps: number;
  readonly ranOps: number;
  readonly runningOps: ReadonlySet<string>;
  readonly log: readonly string[];
  /** The beginning of a log line whose end has not come yet. */
  readonly partial: string;
  readonly tasks: ReadonlyMap<string, SubTask>;
  /** The daemon left out output of it. */
  readonly clipped: boolean;
}

/** Everything a progress view shows, as plain data. */
export interface ProgressState {
  readonly phase: string;
  readonly rows: ReadonlyMap<string, Row>;
  readonly warnings: readonly string[];
  readonly droppedLogBytes: number;
}

/** The state before anything has happened. */
export const initialProgress: ProgressState = {
  phase: "",
  rows: new Map(),
  warnings: [],
  droppedLogBytes: 0,
};

/** The state after one more event. Pure; `now` is this machine's clock in milliseconds. */
export function nextProgress(state: ProgressState, event: BuildEvent, now: number): ProgressState {
  switch (event.type) {
    case "phase":
      return { ...state, phase: event.message };
    case "planned": {
      const rows = new Map(state.rows);
      for (const step of event.steps) rows.set(stepKey(step.index), newRow(stepKey(step.index), step.title));
      return { ...state, rows };
    }
    case "logs.dropped":
      return { ...state, droppedLogBytes: state.droppedLogBytes + event.bytes };
    case "warning":
      return { ...state, warnings: [...state.warnings, cleanText(event.message)] };
    default: {
      const key = event.step === undefined ? event.vertex : stepKey(event.step);
      const title = "name" in event && event.type !== "progress" ? cleanText(event.name) : key;
      const row = state.rows.get(key) ?? newRow(key, title);
      const rows = new Map(state.rows);
      rows.set(key, nextRow(row, event, now));
      if (event.type !== "log.clipped" || row.clipped) return { ...state, rows };
      return { ...state, rows, warnings: [...state.warnings, `${row.title}: ${clipNote(event)}`] };
    }
  }
}

function stepKey(index: number): string {
  return `step ${index + 1}`;
}

function newRow(key: string, title: string): Row {
  return {
    key,
    title: cleanText(title).replaceAll(/\s+/g, " "),
    status: "waiting",
    startedAt: undefined,
    endedAt: undefined,
    cachedOps: 0,
    ranOps: 0,
    runningOps: new Set(),
    log: [],
    partial: "",
    tasks: new Map(),
    clipped: false,
  };
}

type VertexEvent = Exclude<BuildEvent, { type: "phase" | "planned" | "logs.dropped" | "warning" }>;

function nextRow(row: Row, event: VertexEvent, now: number): Row {
  switch (event.type) {
    case "vertex.started":
      return {
        ...row,
        status: "running",
        startedAt: row.startedAt ?? now,
        endedAt: undefined,
        runningOps: new Set([...row.runningOps, event.vertex]),
      };
    case "vertex.cached":
      return settled(
        { ...row, cachedOps: row.cachedOps + 1 },
        event.vertex,
        row.ranOps > 0 ? "done" : "cached",
        now,
      );
    case "vertex.done":
      return settled({ ...row, ranOps: row.ranOps + 1 }, event.vertex, "done", now);
    case "vertex.failed":
      return settled(row, event.vertex, event.canceled ? "canceled" : "failed", now);
    case "progress": {
      const tasks = new Map(row.tasks);
      const { name, current, total, done } = event;
      tasks.set(event.id, { name: cleanText(name), current, total, done });
      return { ...row, tasks };
    }
    case "log": {
      const lines = (row.partial + event.text).split("\n");
      const partial = lines.pop() ?? "";
      const log = [...row.log, ...lines.map((line) => cleanText(lastRedraw(line)))].slice(-logLines);
      return { ...row, log, partial };
    }
    case "log.clipped":
      return { ...row, clipped: true };
    default:
      return event satisfies never;
  }
}

function settled(row: Row, vertex: string, outcome: RowStatus, now: number): Row {
  const runningOps = new Set(row.runningOps);
  runningOps.delete(vertex);
  const bad = outcome === "failed" || outcome === "canceled";
  const status = runningOps.size > 0 && !bad ? "running" : outcome;
  return { ...row, runningOps, status, endedAt: now, startedAt: row.startedAt ?? now };
}
