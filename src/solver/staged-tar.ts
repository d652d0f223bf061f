import { createReadStream, createWriteStream } from "node:fs";
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { unfinishedName } from "../internal/unfinished-file.js";
import type { LayoutEntry } from "../oci/layout-entries.js";
import { layoutTar } from "../oci/layout-tar.js";
import type { OciLayoutOutput, OciTarOutput, Output } from "./outputs.js";

const chunkBytes = 1024 * 1024;

/** An OCI tar that the daemon writes as a layout beside its place, and this side packs. */
export interface StagedTar {
  readonly output: OciTarOutput & { readonly target: string };
  /** What the daemon is asked for in its place. */
  readonly layout: OciLayoutOutput;
}

/**
 * The tar among outputs that can be packed on this side; `undefined` if there is none: it must go to a file, and the
 * daemon can write one layout a build.
 *
 * BuildKit reads its content store in small pieces to write a tar of it, and in large ones to copy it: a layer of 1 GiB
 * takes four times as long as a tar, with every client.
 */
export function stagedTar(outputs: readonly Output[]): StagedTar | undefined {
  if (outputs.some(({ type }) => type === "oci-layout")) return undefined;
  const output = outputs.find(isFileTar);
  if (output === undefined) return undefined;
  const { target, options } = output;
  const dir = unfinishedName(join(dirname(target), `.${basename(target)}`));
  return { output, layout: { type: "oci-layout", dir, options } };
}

function isFileTar(output: Output): output is StagedTar["output"] {
  return output.type === "oci-tar" && typeof output.target === "string";
}

/** Packs the layout; the tar gets its name when it is whole. Rejects with the file system's error or the signal's reason. */
export async function packStagedTar(
  { output, layout }: StagedTar,
  signal: AbortSignal | undefined,
): Promise<void> {
  const whole = join(layout.dir, "whole.tar");
  const tar = Readable.from(layoutTar(await entriesOf(layout.dir)), { objectMode: false });
  await pipeline(tar, createWriteStream(whole, { flags: "wx" }), { signal });
  await rename(whole, output.target);
}

/** Removes the layout, packed or not. */
export async function removeStaged({ layout }: StagedTar): Promise<void> {
  await rm(layout.dir, { recursive: true, force: true });
}

async function entriesOf(dir: string): Promise<readonly LayoutEntry[]> {
  const blobs = (await readdir(join(dir, "blobs/sha256"))).sort().map((name) => `blobs/sha256/${name}`);
  const entries: LayoutEntry[] = [];
  for (const path of blobs) {
    const file = join(dir, path);
    const { size } = await stat(file);
    entries.push({
      ...{ path, mode: 0o444, size },
      read: () => createReadStream(file, { highWaterMark: chunkBytes }),
    });
  }
  for (const path of ["index.json", "oci-layout"]) {
    const bytes = await readFile(join(dir, path));
    entries.push({ path, mode: 0o444, size: bytes.length, read: () => [bytes] });
  }
  return entries;
}
