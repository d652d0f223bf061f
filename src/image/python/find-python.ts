import { shellQuote } from "../shell-quote.js";

/** A command of a shell that says why a step cannot go on, and ends it. */
export function giveUp(message: string, exitCode: number): string {
  return `{ echo ${shellQuote(`kiln: ${message}`)} >&2; exit ${exitCode}; }`;
}

/**
 * A line of a shell script that sets `py` to the image's Python: `python`, as users mean it, or `python3`, which is all
 * that Debian's own has.
 */
export function findPython(call: string): string {
  const none = giveUp(
    `${call} needs Python, and this image has none on its PATH: start from Image.debianSlim(), or add one by Image.fromRegistry(ref, { addPython: "3.13" }).`,
    127,
  );
  return `py="$(command -v python || command -v python3)" || ${none}`;
}

/** A line of a shell script that ends it when `$py` has no pip. */
export function needPip(call: string): string {
  const none = giveUp(
    `${call} needs pip, and the image's Python has none: use uvPipInstall, or start from Image.debianSlim() or Image.fromRegistry(ref, { addPython: "3.13" }).`,
    127,
  );
  return `"$py" -c "import pip" 2>/dev/null || ${none}`;
}
