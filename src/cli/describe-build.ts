import type { HistoryBlob, HistoryRecord } from "../engine/daemon-records.js";
import { cleanText } from "./clean-text.js";
import { formatBytes, formatDuration } from "./progress/frame.js";
import { table } from "./table.js";

/** Builds as a table. */
export function historyTable(records: readonly HistoryRecord[]): string {
  return table(
    ["REF", "STATE", "STEPS", "CREATED", "TOOK", "OUTPUTS"],
    records.map((record) => [
      record.ref,
      `${stateOf(record)}${record.pinned ? ", pinned" : ""}`,
      stepsOf(record),
      record.createdAt?.toISOString().slice(0, 19) ?? "-",
      took(record),
      record.exporters.join(",") || "-",
    ]),
  );
}

/** All that is known of a build, a line a fact. */
export function describeBuild(record: HistoryRecord): string {
  const lines: (readonly [string, string])[] = [
    ["state", stateOf(record)],
    ["pinned", record.pinned ? "yes" : "no"],
    ["frontend", record.frontend === "" ? "none (LLB)" : record.frontend],
    ["created", record.createdAt?.toISOString() ?? "-"],
    ["took", took(record)],
    ["steps", stepsOf(record)],
    ["warnings", String(record.warnings)],
    ...facts("attribute", record.frontendAttrs),
    ...record.exporters.map((type, index) => [`output ${index}`, type] as const),
    ...facts("answer", record.exporterResponse),
    ...blob("log", record.logs),
    ...blob("trace", record.trace),
    ...blob("error", record.externalError),
    ...record.results.flatMap((result) => blob(`result ${result.exporter}`, result.blob)),
    ...record.attestations.flatMap(({ from, platform, predicateType, blob: statement }) =>
      blob(`of ${from}`, { ...statement, mediaType: [predicateType, platform].filter(Boolean).join(" ") }),
    ),
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  const body = lines.map(
    ([name, value]) => `  ${name.padEnd(width)}  ${cleanText(value).replaceAll(/\s+/g, " ")}\n`,
  );
  return `build ${cleanText(record.ref)}\n${body.join("")}`;
}

function stateOf({ state, error }: HistoryRecord): string {
  if (state === "running") return "running";
  if (error === undefined) return "done";
  return error.status === "CANCELLED" ? "cancelled" : "failed";
}

function stepsOf({ steps }: HistoryRecord): string {
  return steps.cached === 0 ? String(steps.total) : `${steps.total} (${steps.cached} cached)`;
}

function took({ createdAt, completedAt }: HistoryRecord): string {
  if (createdAt === undefined || completedAt === undefined) return "-";
  return formatDuration(completedAt.getTime() - createdAt.getTime());
}

function facts(
  name: string,
  values: Readonly<Record<string, string>>,
): readonly (readonly [string, string])[] {
  return Object.entries(values)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => [name, `${key}=${value}`] as const);
}

function blob(name: string, of: HistoryBlob | undefined): readonly (readonly [string, string])[] {
  return of === undefined ? [] : [[name, `${of.digest}  ${formatBytes(of.size)}  ${of.mediaType}`]];
}
