import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { status } from "@grpc/grpc-js";
import { Upload } from "../gen/moby/upload/v1/upload_pb.js";
import { bytesDuplex } from "./grpc/bytes-duplex.js";
import type { ServerCall } from "./grpc/server-call.js";
import type { Attachable } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";

/** What the daemon can fetch as `http://buildkit-session/ID`: bytes, or a stream that is opened for each fetch. */
export type UploadSource = Uint8Array | (() => Readable | Promise<Readable>);

/** Serves bytes of this machine to http sources that name them, by id. */
export function uploadService(
  sources: Readonly<Record<string, UploadSource>>,
  options: { readonly onProblem?: ((id: string, error: unknown) => void) | undefined } = {},
): Attachable {
  const pull = async (call: ServerCall): Promise<void> => {
    const id = (call.header("urlpath") ?? "").replace(/^\//, "");
    try {
      const source = Object.hasOwn(sources, id) ? sources[id] : undefined;
      if (source === undefined) throw new ServiceRefusal(status.NOT_FOUND, `nothing is uploaded as ${id}`);
      const bytes = typeof source === "function" ? await source() : Readable.from([Buffer.from(source)]);
      await pipeline(bytes, bytesDuplex(call));
    } catch (error) {
      if (!call.cancelled) options.onProblem?.(id, error);
      throw error;
    }
  };
  return { name: Upload.typeName, methods: [{ name: Upload.method.pull.name, handle: pull }] };
}
