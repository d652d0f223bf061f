import type { LogsDroppedEvent, SolveEvent } from "../model/events.js";
import type { EventHubOptions, Retention } from "./event-hub.js";

/**
 * How long events are kept for readers that lag: state changes always, progress by its newest value, logs
 * while fewer than 1 MiB of them are unread.
 */
export function eventRetention(event: { readonly type: string } | SolveEvent): Retention {
  if (event.type === "log" && "text" in event) return { keep: "recent", bytes: event.text.length };
  if (event.type === "progress" && "id" in event)
    return { keep: "latest", key: `${event.vertex}\0${event.id}` };
  return { keep: "always" };
}

/** The event that stands for logs that a reader missed. */
export function logsDropped(bytes: number): LogsDroppedEvent {
  return { type: "logs.dropped", bytes };
}

/** Options for a hub of solve events. */
export const solveEventHubOptions: EventHubOptions<SolveEvent> = {
  retention: eventRetention,
  dropped: logsDropped,
};
