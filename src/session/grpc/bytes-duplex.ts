import { Duplex } from "node:stream";
import { bytesMessageHeader, decodeBytesMessage } from "../../rpc/bytes-message.js";
import type { ServerCall } from "./server-call.js";

/** Most bytes put into one message: BuildKit's own pieces are 3 MiB at most. */
const messageBytes = 1024 * 1024;

/**
 * A call of `BytesMessage` both ways as one byte pipe. Its readable side ends when the daemon half-closes; ending the
 * writable side leaves the call to its handler. Destroyed when the daemon breaks off.
 */
export function bytesDuplex(call: ServerCall): Duplex {
  const pipe = Duplex.from({
    readable: incoming(call),
    writable: async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        for (let start = 0; start < chunk.length; start += messageBytes) {
          const part = chunk.subarray(start, start + messageBytes);
          await call.write(bytesMessageHeader(part.length), part);
        }
      }
    },
  });
  call.signal.addEventListener("abort", () => pipe.destroy(), { once: true });
  return pipe;
}

async function* incoming(call: ServerCall): AsyncGenerator<Buffer, void, void> {
  for await (const message of call.messages()) {
    const data = decodeBytesMessage(message);
    if (data.length > 0) yield data;
  }
}
