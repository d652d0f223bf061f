import { isUtf8 } from "node:buffer";
import { readdirSync, readlinkSync } from "node:fs";
import { KilnError } from "../errors.js";

const REPLACEMENT = "\ufffd";

/**
 * Refuses a name that is no UTF-8: it cannot travel in a protobuf string, nor be opened by the spelling that Node gives.
 * Costs something only for a name with U+FFFD, which stands for what is no UTF-8, or for itself.
 *
 * Throws `ERR_KILN_FILE_UNREADABLE`.
 */
export function checkUtf8Name(directory: string, name: string): void {
  if (!name.includes(REPLACEMENT)) return;
  const spelled = Buffer.from(name);
  if (readdirSync(directory, { encoding: "buffer" }).some((raw) => raw.equals(spelled))) return;
  const absolute = directory.endsWith("/") ? directory + name : `${directory}/${name}`;
  throw new KilnError(
    "ERR_KILN_FILE_UNREADABLE",
    `the name of ${JSON.stringify(absolute)} is not valid UTF-8`,
    { hint: "Rename it, or leave it out with an ignore pattern." },
  );
}

/** A symlink's target as written. Throws `ERR_KILN_FILE_UNREADABLE` when it is no UTF-8, else what Node throws. */
export function readUtf8Link(absolute: string): string {
  const target = readlinkSync(absolute, { encoding: "buffer" });
  if (isUtf8(target)) return target.toString("utf8");
  throw new KilnError(
    "ERR_KILN_FILE_UNREADABLE",
    `the target of the symlink ${absolute} is not valid UTF-8`,
    { hint: "Make the link anew, or leave it out with an ignore pattern." },
  );
}
