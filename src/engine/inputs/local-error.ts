import { type CallSite, KilnError } from "../../errors.js";

/** An error about a local file of the chain's that is not there, or cannot be read. */
export function localError(
  message: string,
  path: string,
  cause: unknown,
  location: CallSite | undefined,
): KilnError {
  const missing = ["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "");
  return new KilnError(missing ? "ERR_KILN_FILE_NOT_FOUND" : "ERR_KILN_FILE_UNREADABLE", message, {
    cause,
    hint: missing
      ? `Paths are relative to the build's working directory; looked for ${path}.`
      : `${(cause as Error).message}. Check its permissions.`,
    location,
  });
}
