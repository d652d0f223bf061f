import { constants } from "node:fs";
import { access, readdir, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** What setting up an engine needs to know of the machine. Tests hand in another one. */
export interface Machine {
  /** Node's name of the operating system: `linux` on Linux. */
  readonly platform: string;
  /** Node's name of the processor: `x64`, `arm64`, … */
  readonly arch: string;
  /** The effective user id; `-1` where there is none. */
  readonly uid: number;
  /** The absolute path of a program on the PATH, or `undefined`. */
  readonly findCommand: (name: string) => Promise<string | undefined>;
  /** A text file's content, or `undefined` when it cannot be read. */
  readonly readText: (path: string) => Promise<string | undefined>;
  /** The names in a directory, sorted; none when it cannot be read. */
  readonly list: (path: string) => Promise<readonly string[]>;
}

/** The machine this process runs on. */
export function thisMachine(): Machine {
  return {
    platform: process.platform,
    arch: process.arch,
    uid: process.geteuid?.() ?? -1,
    findCommand: findOnPath,
    readText: (path) => readFile(path, "utf8").catch(() => undefined),
    list: (path) =>
      readdir(path).then(
        (names) => names.sort(),
        () => [],
      ),
  };
}

async function findOnPath(name: string): Promise<string | undefined> {
  // A login shell of root's has the system directories, a service's environment may not.
  const path = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
  for (const directory of path) {
    if (directory === "") continue;
    const candidate = join(directory, name);
    const found = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return candidate;
  }
  return undefined;
}
