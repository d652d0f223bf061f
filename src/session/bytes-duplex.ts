import { Duplex } from "node:stream";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { decodeBytesMessage, encodeBytesMessage } from "../rpc/bytes-message.js";

/** Most bytes put into one message: BuildKit's own pieces are 3 MiB at most. */
const messageBytes = 1024 * 1024;

/**
 * A call of `BytesMessage` both ways as one byte pipe. Its readable side ends when the daemon half-closes; ending the
 * writable side ends the call with OK.
 */
export function bytesDuplex(call: ServerDuplexStream<Buffer, Buffer>): Duplex {
  const pipe = new Duplex({
    read: () => {
      call.resume();
    },
    write: (chunk: Buffer, _encoding, callback) => {
      let flowing = true;
      for (let start = 0; start < chunk.length; start += messageBytes) {
        flowing = call.write(encodeBytesMessage([chunk.subarray(start, start + messageBytes)]));
      }
      if (flowing) callback();
      else call.once("drain", () => callback());
    },
    final: (callback) => {
      call.end();
      callback();
    },
  });
  call.on("data", (message: Buffer) => {
    try {
      const data = decodeBytesMessage(message);
      if (data.length > 0 && !pipe.push(data)) call.pause();
    } catch (error) {
      pipe.destroy(error as Error);
    }
  });
  call.on("end", () => pipe.push(null));
  call.on("cancelled", () => pipe.destroy());
  return pipe;
}
