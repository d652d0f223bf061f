import { renderFrame } from "./frame.js";
import { initialProgress, nextProgress } from "./state.js";
import type { ProgressView, ViewTarget } from "./view.js";

/** At most ten frames a second: events come in bursts. */
const frameMs = 100;

const control = { hideCursor: "\u001b[?25l", showCursor: "\u001b[?25h", eraseDown: "\u001b[0J" };

/** A view that redraws itself in place. The terminal's cursor is hidden until `close`. */
export function ttyView(target: ViewTarget): ProgressView {
  let state = initialProgress;
  let drawn = 0;
  let closed = false;
  const draw = (final: boolean): void => {
    const { columns, rows } = target;
    const lines = renderFrame(state, { columns, rows, now: target.now(), final });
    const up = drawn === 0 ? "" : `\u001b[${drawn}A`;
    target.write(`${up}\r${control.eraseDown}${lines.join("\n")}\n`);
    drawn = lines.length;
  };
  target.write(control.hideCursor);
  const timer = setInterval(() => draw(false), frameMs);
  return {
    show(event) {
      state = nextProgress(state, event, target.now());
    },
    close() {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      draw(true);
      target.write(control.showCursor);
    },
  };
}
