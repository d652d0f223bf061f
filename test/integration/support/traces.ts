import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The forms in which a secret text could show: as it is, percent-encoded, in hexadecimal, as Go prints bytes, and
 * wherever it stands in base64 of either alphabet.
 */
export function formsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  const forms = [secret, encodeURIComponent(secret), bytes.toString("hex"), [...bytes].join(" ")];
  for (let shift = 0; shift < 3; shift += 1) {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .replaceAll("=", "");
    // What the neighbours have a part in is left out.
    const [start, end] = [shift === 0 ? 0 : shift + 1, (shift + bytes.length) % 3 === 0 ? 0 : 1];
    const inner = text.slice(start, text.length - end);
    forms.push(inner, inner.replaceAll("+", "-").replaceAll("/", "_"));
  }
  return [...new Set(forms)];
}

/** Files below `paths` that hold one of the texts. */
export function filesWith(
  texts: readonly string[],
  paths: readonly string[],
  dir: string,
): readonly string[] {
  const list = join(dir, "texts");
  writeFileSync(list, texts.map((text) => `${text}\n`).join(""));
  const found = spawnSync("grep", ["-rlaF", "-D", "skip", "-f", list, ...paths], { encoding: "utf8" });
  // 1 = none; 2 = a file went away while it was read.
  if (found.status === null) throw found.error ?? new Error("grep did not end");
  return found.stdout.split("\n").filter((line) => line !== "");
}
