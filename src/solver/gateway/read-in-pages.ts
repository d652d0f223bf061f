import { checkInteger } from "../../llb/check-argument.js";

/** Most bytes asked for at once: a reply must stay below the 16 MiB that a message may have. */
const pageBytes = 8 * 1024 * 1024;

/** A part of a file. */
export interface FileRange {
  readonly Offset: bigint;
  readonly Length: bigint;
}

/** Reads a file, or a part of it, one reply after another. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export async function readInPages(
  call: string,
  options: { readonly offset?: number | undefined; readonly length?: number | undefined },
  read: (range: FileRange) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const offset = checkInteger(call, "offset", options.offset ?? 0, 0, Number.MAX_SAFE_INTEGER);
  const wanted =
    options.length === undefined
      ? Number.POSITIVE_INFINITY
      : checkInteger(call, "length", options.length, 0, Number.MAX_SAFE_INTEGER);
  const pages: Uint8Array[] = [];
  let size = 0;
  while (size < wanted) {
    const asked = Math.min(pageBytes, wanted - size);
    const page = await read({ Offset: BigInt(offset + size), Length: BigInt(asked) });
    if (page.length > 0) pages.push(page);
    size += page.length;
    if (page.length < asked) break;
  }
  const [only] = pages;
  return pages.length === 1 && only !== undefined ? only : Buffer.concat(pages);
}
