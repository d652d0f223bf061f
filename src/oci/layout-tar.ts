import { type Pack, pack } from "tar-stream";
import type { LayoutEntry } from "./layout-entries.js";

const begin = new Date(0);

/**
 * A layout as a tar: its directories, then its files in the order given, all with time 0 and owner 0. The same entries
 * give the same bytes.
 *
 * Throws a `RangeError` for a file whose content is not as long as said, and what reading one throws.
 */
export async function* layoutTar(
  entries: readonly LayoutEntry[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const tar = pack();
  const filled = fill(tar, entries).catch((error: unknown) => {
    tar.destroy(error as Error);
    throw error;
  });
  // Thrown below.
  filled.catch(() => {});
  try {
    yield* tar as AsyncIterable<Uint8Array>;
    await filled;
  } finally {
    tar.destroy();
  }
}

function drained(sink: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    sink.once("drain", () => resolve());
  });
}

async function fill(tar: Pack, entries: readonly LayoutEntry[]): Promise<void> {
  for (const name of ["blobs/", "blobs/sha256/"]) {
    tar.entry({ name, type: "directory", mode: 0o755, mtime: begin });
  }
  for (const { path: name, mode, size, read } of entries) {
    const sink = tar.entry({ name, mode, size, mtime: begin });
    // It ends with the tar, whose own error says more.
    sink.on("error", () => {});
    let gone = false;
    const closed = new Promise<void>((resolve) => {
      sink.once("close", () => {
        gone = true;
        resolve();
      });
    });
    let written = 0;
    for await (const bytes of read()) {
      written += bytes.length;
      if (written > size) break;
      if (!sink.write(bytes)) await Promise.race([drained(sink), closed]);
      if (gone) return;
    }
    if (written !== size) throw new RangeError(`${name} has ${written} bytes in place of ${size}`);
    sink.end(undefined);
  }
  tar.finalize();
}
