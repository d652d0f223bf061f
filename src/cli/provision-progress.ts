import type { OnProgress } from "../provision/index.js";

/** Shows the private engine's set-up on standard error: one line that is rewritten on a terminal, else a line a step. */
export function provisionProgress(): { readonly show: OnProgress; readonly close: () => void } {
  const { stderr } = process;
  const startedAt = Date.now();
  let current = "";
  let timer: NodeJS.Timeout | undefined;
  const draw = (): void => {
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(0);
    stderr.write(`\r\u001b[2K${`${current} (${seconds}s)`.slice(0, (stderr.columns ?? 80) - 1)}`);
  };
  return {
    show({ message, done, total }) {
      const line = total === undefined ? message : `${message} (${(done ?? 0) + 1}/${total})`;
      if (line === current) return;
      current = line;
      if (!stderr.isTTY) {
        stderr.write(`${line}\n`);
        return;
      }
      timer ??= setInterval(draw, 200);
      draw();
    },
    close() {
      clearInterval(timer);
      if (stderr.isTTY && current !== "") stderr.write("\r\u001b[2K");
    },
  };
}
