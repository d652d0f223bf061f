import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { PacketChannel } from "../fsutil/packet-channel.js";

/**
 * A gRPC stream whose messages are encoded fsutil packets, as the channel that the packet protocol runs on.
 *
 * `write` asks to wait only while the transport is full. Leaving the iteration early does not end the call:
 * the handler still has its answer to send.
 */
export function packetChannel(call: ServerDuplexStream<Buffer, Buffer>): PacketChannel {
  let drained: Promise<void> | undefined;
  return {
    incoming: {
      [Symbol.asyncIterator]: () => call.iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array>,
    },
    write(packet) {
      const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength);
      if (call.write(bytes)) return undefined;
      drained ??= new Promise<void>((resolve) => {
        const done = (): void => {
          drained = undefined;
          call.off("drain", done);
          call.off("close", done);
          call.off("cancelled", done);
          resolve();
        };
        call.once("drain", done);
        call.once("close", done);
        call.once("cancelled", done);
      });
      return drained;
    },
  };
}
