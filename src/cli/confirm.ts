import { createInterface } from "node:readline/promises";
import { KilnError } from "../errors.js";

/** Who is asked: by default the terminal of this process. */
export interface Asker {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean | undefined };
}

/**
 * Asks for a yes before something is destroyed; anything else is a no.
 *
 * Where there is no terminal, nobody can be asked: throws `ERR_KILN_INVALID_ARGUMENT` that wants `--force`. Rejects with
 * the signal's reason.
 */
export async function confirm(
  question: string,
  options: { readonly signal: AbortSignal; readonly asker?: Asker | undefined },
): Promise<boolean> {
  const { signal, asker = { input: process.stdin, output: process.stderr } } = options;
  if (asker.input.isTTY !== true || asker.output.isTTY !== true) {
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", "there is no terminal to ask for a confirmation", {
      hint: "Add --force if you mean it.",
    });
  }
  const lines = createInterface({ input: asker.input, output: asker.output });
  try {
    const closed = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
    const answer = await Promise.race([lines.question(`${question} [y/N] `, { signal }), closed]);
    return /^y(?:es)?$/i.test(answer.trim());
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    lines.close();
  }
}
