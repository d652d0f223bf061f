import type { LayoutEntry } from "./layout-entries.js";

const blockBytes = 512;
/** Eleven octal digits, as ustar has room for. */
const largest = 0o77777777777;

/**
 * A layout as a tar: its directories, then its files in the order given, all with time 0 and owner 0. The same entries
 * give the same bytes.
 *
 * Throws a `RangeError` for a file whose content is not as long as said or longer than 8 GiB, and what reading one throws.
 */
export async function* layoutTar(
  entries: readonly LayoutEntry[],
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const path of ["blobs/", "blobs/sha256/"]) yield header({ path, mode: 0o755, size: 0, type: "5" });
  for (const entry of entries) {
    yield header({ ...entry, type: "0" });
    let written = 0;
    for await (const bytes of entry.read()) {
      written += bytes.length;
      yield bytes;
    }
    if (written !== entry.size)
      throw new RangeError(`${entry.path} has ${written} bytes in place of ${entry.size}`);
    const rest = written % blockBytes;
    if (rest > 0) yield Buffer.alloc(blockBytes - rest);
  }
  yield Buffer.alloc(2 * blockBytes);
}

/** A ustar header. */
function header(entry: {
  readonly path: string;
  readonly mode: number;
  readonly size: number;
  readonly type: "0" | "5";
}): Buffer {
  if (entry.size > largest) throw new RangeError(`${entry.path} is too large for a tar`);
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, offset: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, "0"), offset, "latin1");
  };
  block.write(entry.path, 0, 100, "latin1");
  octal(entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(entry.size, 124, 12);
  octal(0, 136, 12);
  block.fill(" ", 148, 156);
  block.write(entry.type, 156, "latin1");
  block.write("ustar\0" + "00", 257, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
