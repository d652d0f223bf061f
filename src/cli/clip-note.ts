import type { LogClip } from "../model/events.js";

/** One line about output that the daemon left out, e.g. `stdout clipped by the daemon: more than 2 MiB`. */
export function clipNote({ stream, limit, limitBytes }: LogClip): string {
  const [much, setting] =
    limit === "size"
      ? [`more than ${binaryBytes(limitBytes)}`, "BUILDKIT_STEP_LOG_MAX_SIZE"]
      : [`faster than ${binaryBytes(limitBytes)} a second`, "BUILDKIT_STEP_LOG_MAX_SPEED"];
  return `${stream} clipped by the daemon: ${much} (its ${setting})`;
}

function binaryBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 ** 2) return `${round(bytes / 1024)} KiB`;
  return `${round(bytes / 1024 ** 2)} MiB`;
}

function round(value: number): string {
  return String(Number(value.toFixed(1)));
}
