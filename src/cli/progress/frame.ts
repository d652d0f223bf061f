import pc from "picocolors";
import type { ProgressState, Row, SubTask } from "./state.js";

/** Size of the terminal and the time, for {@link renderFrame}. */
export interface FrameOptions {
  readonly columns: number;
  readonly rows: number;
  readonly now: number;
  /** The build is over: no log lines of steps that went well, nothing cut off. */
  readonly final: boolean;
}

/**
 * The lines of one frame: a line a step, with mark and elapsed time, below running steps their sub-tasks and
 * last output. A frame never has more lines than the terminal, nor lines wider than it.
 */
export function renderFrame(state: ProgressState, options: FrameOptions): readonly string[] {
  const rows = [...state.rows.values()];
  const done = rows.filter(({ status }) => status !== "waiting" && status !== "running").length;
  const head = rows.length === 0 ? state.phase : `${state.phase} ${pc.dim(`(${done}/${rows.length})`)}`;
  const lines: string[] = [clip(head, options.columns)];
  for (const row of rows) {
    if (row.status === "waiting" && options.final) continue;
    lines.push(rowLine(row, options));
    if (row.status === "running" || row.status === "failed") lines.push(...detailLines(row, options));
  }
  if (state.warnings.length > 0)
    lines.push(...state.warnings.map((text) => clip(pc.yellow(`! ${text}`), options.columns)));
  if (options.final || lines.length <= options.rows - 1) return lines;
  // The newest lines matter most; the head stays as the anchor.
  return [lines[0] ?? "", ...lines.slice(-(options.rows - 2))];
}

const marks: Readonly<Record<Row["status"], string>> = {
  waiting: "·",
  running: "▸",
  cached: "✓",
  done: "✓",
  failed: "✗",
  canceled: "-",
};

function rowLine(row: Row, { columns, now }: FrameOptions): string {
  const time = elapsed(row, now);
  const mark = {
    waiting: pc.dim,
    running: pc.cyan,
    cached: pc.green,
    done: pc.green,
    failed: pc.red,
    canceled: pc.yellow,
  }[row.status](marks[row.status]);
  const right = row.status === "cached" ? "cached" : row.status === "canceled" ? "cancelled" : time;
  const room = Math.max(10, columns - right.length - 5);
  const title = clip(row.title, room);
  const text = row.status === "waiting" ? pc.dim(title) : title;
  if (right === "") return `${mark} ${text}`;
  const gap = " ".repeat(Math.max(1, columns - width(title) - right.length - 4));
  return `${mark} ${text}${gap}${pc.dim(right)}`;
}

function detailLines(row: Row, { columns }: FrameOptions): readonly string[] {
  const tasks = [...row.tasks.values()].filter(({ done, total }) => !done && total > 0).slice(-3);
  const log = row.partial === "" ? row.log : [...row.log, row.partial];
  return [
    ...tasks.map((task) => clip(`  ${pc.dim(taskLine(task))}`, columns)),
    ...log.slice(-6).map((line) => `  ${pc.dim("│")} ${clip(line.replaceAll("\t", "  "), columns - 5)}`),
  ];
}

function taskLine({ name, current, total }: SubTask): string {
  return `${name} ${formatBytes(current)} / ${formatBytes(total)}`;
}

/** Bytes with a unit, e.g. `12.3 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = -1;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** Milliseconds as seconds or minutes, e.g. `3.2s`, `2m05s`. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  return `${Math.floor(seconds / 60)}m${String(Math.floor(seconds % 60)).padStart(2, "0")}s`;
}

function elapsed(row: Row, now: number): string {
  if (row.startedAt === undefined) return "";
  return formatDuration((row.status === "running" ? now : (row.endedAt ?? now)) - row.startedAt);
}

let segmenter: Intl.Segmenter | undefined;

/** The characters of a text as people count them. What finds them takes longer to load than the whole command. */
function segmentsOf(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return segmenter.segment(text);
}

/** Columns a text takes in a terminal: East Asian wide characters and emoji count twice, styles not at all. */
export function width(text: string): number {
  let total = 0;
  for (const { segment } of segmentsOf(plain(text))) total += segmentWidth(segment);
  return total;
}

function segmentWidth(segment: string): number {
  if (/^\p{Mark}/u.test(segment)) return 0;
  const wide =
    /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|[\u3000-\u303e\uff01-\uff60]/u;
  return wide.test(segment) ? 2 : 1;
}

const esc = String.fromCharCode(27);

function plain(text: string): string {
  return text
    .split(esc)
    .map((part, index) => (index === 0 ? part : part.replace(/^\[[0-9;]*m/, "")))
    .join("");
}

/** The text cut to a number of columns, with an ellipsis when something is missing. Styled text is kept whole. */
function clip(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  if (text.includes(esc)) return clip(plain(text), columns);
  let result = "";
  let used = 0;
  for (const { segment } of segmentsOf(text)) {
    const next = segmentWidth(segment);
    if (used + next > columns - 1) break;
    result += segment;
    used += next;
  }
  return `${result}…`;
}
