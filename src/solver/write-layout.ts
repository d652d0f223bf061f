import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { KilnError } from "../errors.js";
import { unfinishedName } from "../internal/unfinished-file.js";
import type { LayoutEntry } from "../oci/layout-entries.js";
import { layoutTar } from "../oci/layout-tar.js";

/** Where a layout goes: a compressed tar in a file or a stream, or the files in a directory. */
export type LayoutTarget = { readonly file: string } | { readonly dir: string } | Writable;

/**
 * Makes sure that a target can be written, before a daemon is asked. Rejects with `ERR_KILN_OUTPUT_EXISTS` when a directory
 * stands where the file should go, or where the directory should go something that is not an empty one.
 */
export async function checkLayoutTarget(target: LayoutTarget): Promise<void> {
  if ("file" in target && (await kindOf(target.file)) === "directory") {
    throw exists(`cannot write the file ${target.file}: it is a directory`, "Name a file in it.");
  }
  if (!("dir" in target)) return;
  const kind = await kindOf(target.dir);
  if (kind === "file") {
    throw exists(
      `cannot make the directory ${target.dir}: a file has that name`,
      "Choose another directory.",
    );
  }
  if (kind === "directory" && (await readdir(target.dir)).length > 0) {
    throw exists(`the directory ${target.dir} is not empty`, "Choose a new one, or empty it.");
  }
}

/**
 * Writes a layout. It gets its name when it is whole; on a failure or an abort nothing stays. A stream gets nothing before
 * all has been read, and is ended.
 *
 * Rejects with what reading the entries throws, `ERR_KILN_OUTPUT_UNWRITABLE`, or the signal's reason.
 */
export async function writeLayout(
  target: LayoutTarget,
  entries: readonly LayoutEntry[],
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    if ("file" in target) await writeFileWhole(target.file, entries, signal);
    else if ("dir" in target) await writeDirectory(target.dir, entries, signal);
    else await writeStream(target, entries, signal);
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw error instanceof Error && "syscall" in error ? unwritable(target, error) : error;
  }
}

async function writeFileWhole(
  file: string,
  entries: readonly LayoutEntry[],
  signal: AbortSignal | undefined,
): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const temporary = unfinishedName(file);
  try {
    await writeTar(temporary, entries, signal);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function writeTar(
  file: string,
  entries: readonly LayoutEntry[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const tar = Readable.from(layoutTar(entries), { objectMode: false });
  return pipeline(tar, createGzip(), createWriteStream(file, { flags: "wx" }), { signal });
}

async function writeDirectory(
  dir: string,
  entries: readonly LayoutEntry[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const place = dir.replace(/\/+$/, "") || dir;
  await mkdir(dirname(place), { recursive: true });
  const temporary = unfinishedName(place);
  try {
    await mkdir(join(temporary, "blobs", "sha256"), { recursive: true });
    for (const { path, read, mode } of entries) {
      await writeFile(join(temporary, path), read(), { flag: "wx", mode, signal });
    }
    await rename(temporary, place);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

async function writeStream(
  out: Writable,
  entries: readonly LayoutEntry[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "kiln-export-"));
  try {
    const whole = join(dir, "bundle");
    await writeTar(whole, entries, signal);
    await pipeline(createReadStream(whole), out, { signal });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function unwritable(target: LayoutTarget, cause: Error): KilnError {
  const where = "file" in target ? target.file : "dir" in target ? target.dir : "the stream";
  return new KilnError("ERR_KILN_OUTPUT_UNWRITABLE", `cannot write ${where}: ${cause.message}`, {
    hint: "Check its permissions and the free space.",
    cause,
  });
}

function exists(message: string, hint: string): KilnError {
  return new KilnError("ERR_KILN_OUTPUT_EXISTS", message, { hint });
}

async function kindOf(path: string): Promise<"file" | "directory" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "directory" : "file";
  } catch {
    return undefined;
  }
}
