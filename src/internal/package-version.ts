import { readFileSync } from "node:fs";

let known: string | undefined;

/** The version of this package, as its package.json has it. */
export function packageVersion(): string {
  // From the sources as from the package: both are two folders down.
  known ??= String(
    (
      JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
        version?: unknown;
      }
    ).version,
  );
  return known;
}
