import type { Forecast } from "../model/forecast.js";
import { cleanText } from "./clean-text.js";
import { formatBytes, formatDuration } from "./progress/frame.js";
import { shortTitle, table } from "./table.js";

/** What a build would do: a line a step, what would be sent, and how long it would take. */
export function renderForecast(forecast: Forecast): string {
  const rows = forecast.steps.map(({ index, title, expect, cause, expectedMs }) => [
    ...[String(index + 1), expect],
    expect === "run" ? (expectedMs === undefined ? "?" : formatDuration(expectedMs)) : "",
    shortTitle(title),
    cause?.text ?? "",
  ]);
  const steps = table(["STEP", "EXPECT", "TIME", "TITLE", "WHY"], rows);
  return `${steps}\n${[sent(forecast), total(forecast)].map((line) => `${line}\n`).join("")}`;
}

function sent({ trees, bytesToSend, noop }: Forecast): string {
  const going = trees.filter(({ way }) => way !== "none");
  if (noop || going.length === 0 || bytesToSend === 0) return "to send: nothing";
  const ways = going.map(({ path, way, bytes }) => {
    const size = bytes === undefined ? "?" : formatBytes(bytes);
    return `${path} ${way === "layers" ? "as layers" : "file by file"} ${size}`;
  });
  const all = bytesToSend === undefined ? "not known" : formatBytes(bytesToSend);
  return cleanText(`to send: ${all} (${ways.join(", ")})`).replaceAll(/\s+/g, " ");
}

function total({ steps, runs, unknown, expectedMs, noop }: Forecast): string {
  if (noop) return "nothing would run: what the build makes is there already";
  if (runs === 0) return "no step would run";
  const count = `${runs} of ${steps.length} steps would run`;
  if (unknown === runs) return `${count}: nobody knows how long`;
  const rest = unknown === 0 ? "" : `, and ${unknown} of which nobody knows`;
  return `${count}: about ${formatDuration(expectedMs)}${rest}`;
}
