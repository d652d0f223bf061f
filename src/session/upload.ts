import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import { Upload } from "../gen/moby/upload/v1/upload_pb.js";
import { type Attachable, rawService } from "./attachable.js";
import { bytesDuplex } from "./bytes-duplex.js";
import { headerOf, ServiceRefusal, statusOf } from "./unary-service.js";

/** What the daemon can fetch as `http://buildkit-session/ID`: bytes, or a stream that is opened for each fetch. */
export type UploadSource = Uint8Array | (() => Readable | Promise<Readable>);

/** Serves bytes of this machine to http sources that name them, by id. */
export function uploadService(
  sources: Readonly<Record<string, UploadSource>>,
  options: { readonly onProblem?: ((id: string, error: unknown) => void) | undefined } = {},
): Attachable {
  return rawService(Upload.typeName, [
    {
      name: Upload.method.pull.name,
      clientStream: true,
      serverStream: true,
      handler: async (call: ServerDuplexStream<Buffer, Buffer>) => {
        const id = (headerOf(call, "urlpath") ?? "").replace(/^\//, "");
        try {
          const source = Object.hasOwn(sources, id) ? sources[id] : undefined;
          if (source === undefined)
            throw new ServiceRefusal(status.NOT_FOUND, `nothing is uploaded as ${id}`);
          const pipe = bytesDuplex(call);
          const bytes = typeof source === "function" ? await source() : Readable.from([Buffer.from(source)]);
          await pipeline(bytes, pipe, { end: true });
        } catch (error) {
          if (!call.cancelled) options.onProblem?.(id, error);
          call.emit("error", statusOf(error));
        }
      },
    },
  ]);
}
