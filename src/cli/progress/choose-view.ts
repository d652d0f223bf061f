import { KilnError } from "../../errors.js";
import { jsonView } from "./json.js";
import { plainView } from "./plain.js";
import { ttyView } from "./tty.js";
import type { ProgressView, ViewTarget } from "./view.js";

/** The names that `--progress` takes. */
export const progressModes = ["auto", "tty", "plain", "json", "quiet"] as const;

/** The view that `--progress MODE` names; `auto` is `tty` on a terminal outside CI, else `plain`. */
export function chooseView(mode: string): ProgressView {
  const target = stderrTarget();
  switch (mode) {
    case "auto":
      return process.stderr.isTTY && process.env["CI"] === undefined && process.env["TERM"] !== "dumb"
        ? ttyView(target)
        : plainView(target);
    case "tty":
      return ttyView(target);
    case "plain":
      return plainView(target);
    case "json":
      return jsonView(target);
    case "quiet":
      return { show: () => {}, close: () => {} };
    default:
      throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `--progress ${mode}: no such view`, {
        hint: `Use one of: ${progressModes.join(", ")}.`,
      });
  }
}

function stderrTarget(): ViewTarget {
  return {
    write: (text) => {
      process.stderr.write(text);
    },
    get columns() {
      return process.stderr.columns ?? 100;
    },
    get rows() {
      return process.stderr.rows ?? 40;
    },
    now: () => Date.now(),
  };
}
