import type { Readable } from "node:stream";
import { KilnError } from "../../errors.js";

/** Reads a stream to its end. Rejects with `ERR_KILN_LIMIT_EXCEEDED` for more than `limit` bytes, or the stream's error. */
export async function readBounded(stream: Readable, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) {
      stream.destroy();
      throw new KilnError(
        "ERR_KILN_LIMIT_EXCEEDED",
        `an answer of the registry has more than ${limit} bytes`,
        {
          hint: "A manifest has a few kilobytes: check the registry.",
        },
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
