import type { BuildEvent } from "../../model/events.js";
import { cleanText, lastRedraw } from "../clean-text.js";
import { clipNote } from "../clip-note.js";
import { formatDuration } from "./frame.js";
import type { ProgressView, ViewTarget } from "./view.js";

/** A view for logs: one line an event, each prefixed with the number of what it is about. Nothing is redrawn. */
export function plainView(target: ViewTarget): ProgressView {
  const numbers = new Map<string, number>();
  const titles = new Map<number, string>();
  const partial = new Map<string, { number: number; text: string }>();
  const clipped = new Set<string>();
  let nextNumber = 1;
  const numberOf = (event: { readonly vertex: string; readonly step?: number | undefined }): number => {
    const key = event.step === undefined ? event.vertex : `step ${event.step}`;
    let number = numbers.get(key);
    if (number === undefined) {
      number = event.step === undefined ? nextNumber++ : event.step + 1;
      numbers.set(key, number);
    }
    return number;
  };
  const line = (text: string): void => target.write(`${text}\n`);
  const announce = (number: number, title: string): void => {
    if (titles.get(number) === title) return;
    titles.set(number, title);
    line(`#${number} ${title}`);
  };
  const flush = (vertex: string): void => {
    const rest = partial.get(vertex);
    partial.delete(vertex);
    if (rest !== undefined && rest.text !== "") line(`#${rest.number} | ${cleanText(lastRedraw(rest.text))}`);
  };
  const show = (event: BuildEvent): void => {
    switch (event.type) {
      case "phase":
        line(event.message);
        break;
      case "planned":
        nextNumber = event.steps.length + 1;
        break;
      case "vertex.started":
        announce(numberOf(event), cleanText(event.name));
        break;
      case "vertex.cached":
        announce(numberOf(event), cleanText(event.name));
        line(`#${numberOf(event)} CACHED`);
        break;
      case "vertex.done":
        flush(event.vertex);
        line(`#${numberOf(event)} DONE ${formatDuration(event.durationMs)}`);
        break;
      case "vertex.failed":
        flush(event.vertex);
        line(`#${numberOf(event)} ${event.canceled ? "CANCELLED" : `ERROR ${cleanText(event.error)}`}`);
        break;
      case "log": {
        const number = numberOf(event);
        const lines = ((partial.get(event.vertex)?.text ?? "") + event.text).split("\n");
        partial.set(event.vertex, { number, text: lines.pop() ?? "" });
        for (const text of lines) line(`#${number} | ${cleanText(lastRedraw(text))}`);
        break;
      }
      case "log.clipped": {
        const key = `${event.vertex} ${event.stream}`;
        if (clipped.has(key)) break;
        clipped.add(key);
        flush(event.vertex);
        line(`#${numberOf(event)} (${clipNote(event)})`);
        break;
      }
      case "progress":
        if (event.done) line(`#${numberOf(event)} ${cleanText(event.name)} done`);
        break;
      case "warning":
        line(`#${numberOf(event)} WARNING ${cleanText(event.message)}`);
        break;
      case "logs.dropped":
        line(`(${event.bytes} bytes of output left out)`);
        break;
      default:
        event satisfies never;
    }
  };
  return {
    show,
    close() {
      for (const vertex of [...partial.keys()]) flush(vertex);
    },
  };
}
