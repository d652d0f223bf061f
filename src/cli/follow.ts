import type { BuildEvent } from "../model/events.js";
import type { ProgressView } from "./progress/view.js";

/** Shows a build's events until its end and returns its result; the view is closed first, also on an error. */
export async function follow<T>(
  build: AsyncIterable<BuildEvent> & { readonly result: Promise<T> },
  view: ProgressView,
): Promise<T> {
  try {
    for await (const event of build) view.show(event);
    return await build.result;
  } finally {
    view.close();
  }
}
