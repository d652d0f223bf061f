import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const PROGRAM = "getfattr";
/** Bytes of arguments that one process gets: half of what Linux allows by default. */
const MAX_ARGUMENT_BYTES = 1024 * 1024;
const APPLE_PREFIX = "com.apple.";

/** Extended attributes of one path, by full name. */
export type Xattrs = ReadonlyMap<string, Uint8Array>;

/**
 * Where the program is that reads extended attributes, or `undefined`.
 *
 * Node has no call for extended attributes and a native module is no option, so `getfattr` (Debian's package
 * `attr`, Linux only) does it where it is installed. Looked for on `PATH`.
 */
export function findXattrProgram(
  path: string = process.env["PATH"] ?? "",
  platform: string = process.platform,
): string | undefined {
  if (platform !== "linux") return undefined;
  for (const directory of path.split(delimiter)) {
    if (!directory.startsWith("/")) continue;
    const candidate = join(directory, PROGRAM);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not in this one.
    }
  }
  return undefined;
}

/**
 * Reads the extended attributes of many paths, symlinks not followed: some thousand paths a process. The
 * result has only paths that have any. What cannot be read counts as having none, as do attributes of macOS
 * (`com.apple.…`); files may vanish meanwhile.
 */
export async function readXattrs(
  program: string,
  absolutePaths: readonly string[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, Xattrs>> {
  const found = new Map<string, Xattrs>();
  let batch: string[] = [];
  let bytes = 0;
  for (const path of absolutePaths) {
    batch.push(path);
    bytes += Buffer.byteLength(path) + 16;
    if (bytes < MAX_ARGUMENT_BYTES) continue;
    parseXattrs(await runProgram(program, batch, signal), found);
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) parseXattrs(await runProgram(program, batch, signal), found);
  return found;
}

function runProgram(
  program: string,
  paths: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const flags = ["-h", "-d", "-m", "-", "-e", "base64", "--absolute-names", "--"];
    const child = spawn(program, [...flags, ...paths], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { LC_ALL: "C" },
    });
    const abort = (): void => {
      child.kill("SIGKILL");
    };
    const chunks: Buffer[] = [];
    signal?.addEventListener("abort", abort, { once: true });
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    // A program that cannot be started reads no attributes; the transfer goes on without.
    child.on("error", () => settle());
    child.on("close", () => settle());
    const settle = (): void => {
      signal?.removeEventListener("abort", abort);
      if (signal?.aborted === true) reject(signal.reason);
      else resolve(Buffer.concat(chunks).toString("utf8"));
    };
  });
}

/** Reads the program's output: a `# file:` line, then `name=0s…` lines, then an empty line. */
export function parseXattrs(output: string, into: Map<string, Xattrs>): void {
  let current: Map<string, Uint8Array> | undefined;
  let path = "";
  for (const line of output.split("\n")) {
    if (line.startsWith("# file: ")) {
      path = unquote(line.slice("# file: ".length));
      current = new Map();
      continue;
    }
    const attribute = /^([^=]+)(?:=(?:0s([A-Za-z0-9+/=]*))?)?$/.exec(line);
    if (attribute === null || current === undefined) continue;
    const [, name = "", value = ""] = attribute;
    if (name.startsWith(APPLE_PREFIX)) continue;
    current.set(unquote(name), Buffer.from(value, "base64"));
    into.set(path, current);
  }
}

/** Undoes the program's way of writing bytes that would break its lines: a backslash and three octal digits. */
function unquote(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
