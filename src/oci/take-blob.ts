import { createHash } from "node:crypto";
import { link, lstat, open } from "node:fs/promises";
import { KilnError } from "../errors.js";
import type { Descriptor } from "./descriptor.js";

const chunkBytes = 1024 * 1024;

/**
 * Takes a blob's file over from another layout to `target`, which must be new: as a second name of the same file where
 * the file system has such, which costs no room (layouts do not write into their blobs, as these are named by what is in
 * them), else as a copy. Either way all of it is read, checked against size and digest, and on disk when this resolves.
 *
 * Rejects with `ERR_KILN_LAYOUT_INVALID` if the blob is missing or not what the descriptor says, the signal's reason, or
 * the file system's error about `target`.
 */
export async function takeBlob(
  source: string,
  target: string,
  { digest, size }: Descriptor,
  signal: AbortSignal | undefined,
): Promise<void> {
  const linked = await tryLink(source, target);
  const from = await open(linked ? target : source, "r").catch((error: unknown) => {
    throw invalid(source, digest, `it cannot be read (${(error as NodeJS.ErrnoException).code})`, error);
  });
  try {
    const to = linked ? undefined : await open(target, "wx", 0o444);
    try {
      const hash = createHash("sha256");
      let total = 0;
      const buffer = Buffer.allocUnsafe(chunkBytes);
      for (;;) {
        signal?.throwIfAborted();
        const { bytesRead } = await from.read(buffer, 0, buffer.length, total);
        if (bytesRead === 0) break;
        total += bytesRead;
        if (total > size) break;
        const chunk = buffer.subarray(0, bytesRead);
        hash.update(chunk);
        await to?.writeFile(chunk);
      }
      if (total !== size) throw invalid(source, digest, `it has not the ${size} bytes that it should have`);
      if (`sha256:${hash.digest("hex")}` !== digest) throw invalid(source, digest, "it is damaged");
      await (to ?? from).sync();
    } finally {
      await to?.close();
    }
  } finally {
    await from.close();
  }
}

async function tryLink(source: string, target: string): Promise<boolean> {
  try {
    // A link to a symlink would be a symlink.
    if (!(await lstat(source)).isFile()) return false;
    await link(source, target);
    return true;
  } catch {
    return false;
  }
}

function invalid(source: string, digest: string, why: string, cause?: unknown): KilnError {
  return new KilnError("ERR_KILN_LAYOUT_INVALID", `the blob ${digest} (${source}): ${why}`, {
    hint: "The layout is not whole: write it again.",
    cause,
  });
}
