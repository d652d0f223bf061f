import type { ProgressView, ViewTarget } from "./view.js";

/** A view for programs: every event as one line of JSON, as the library gives it. */
export function jsonView(target: ViewTarget): ProgressView {
  return {
    show: (event) => target.write(`${JSON.stringify(event)}\n`),
    close: () => {},
  };
}
