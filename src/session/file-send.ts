import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import { receiveTree } from "../fsutil/receive.js";
import { FileSend } from "../gen/moby/filesync/v1/filesync_pb.js";
import { randomId } from "../internal/random-id.js";
import { decodeBytesMessage } from "../rpc/bytes-message.js";
import { type Attachable, rawService } from "./attachable.js";
import { wasBrokenOff } from "./broken-off.js";
import { packetChannel } from "./packet-stream.js";
import { headerOf, ServiceRefusal, statusOf } from "./unary-service.js";

/** What the daemon says about what it is about to send: `containerimage.digest` and the like. */
export type ExporterMetadata = Readonly<Record<string, string>>;

/** A directory that receives the result's files. */
export interface DirectoryTarget {
  readonly kind: "dir";
  readonly path: string;
}

/** A file that receives a tar: written beside its place and renamed when it is whole. */
export interface FileTargetSpec {
  readonly kind: "file";
  readonly path: string;
  readonly onMetadata?: ((metadata: ExporterMetadata) => void) | undefined;
}

/**
 * A stream that receives a tar; opened when the daemon begins, ended when it is whole. Opening none says that the tar is
 * there already: the daemon then sends nothing, and image exporters count that as done.
 */
export interface StreamTarget {
  readonly kind: "stream";
  open(): Writable | undefined | Promise<Writable | undefined>;
  readonly onMetadata?: ((metadata: ExporterMetadata) => void) | undefined;
}

/** Where an exporter's bytes go. */
export type FileSendTarget = DirectoryTarget | FileTargetSpec | StreamTarget;

const idHeader = "buildkit-attachable-exporter-id";
const metadataPrefix = "exporter-md-";

/** Told what became of each target, so that a failure here is more than a text in the daemon's error. */
export interface FileSendOptions {
  readonly onProblem?: ((exporterId: number, error: unknown) => void) | undefined;
  /** Given what settles when a transfer is over and has cleared away what it leaves half done. Never rejects. */
  readonly onTransfer?: ((over: Promise<void>) => void) | undefined;
}

/**
 * Receives what exporters send to the client.
 *
 * Targets are keyed by exporter id, the exporter's position in the solve (0 when the daemon names none:
 * before BuildKit 0.13 there was one). The messages are `BytesMessage` for a file or stream and fsutil
 * packets for a directory, whatever the service's definition says.
 */
export function fileSendService(
  targets: ReadonlyMap<number, FileSendTarget>,
  options: FileSendOptions = {},
): Attachable {
  return rawService(FileSend.typeName, [
    {
      name: FileSend.method.diffCopy.name,
      clientStream: true,
      serverStream: true,
      handler: (call: ServerDuplexStream<Buffer, Buffer>) => {
        const id = Number(headerOf(call, idHeader) ?? "0");
        const transfer = async (): Promise<void> => {
          try {
            const target = targets.get(id);
            if (target === undefined)
              throw new ServiceRefusal(status.NOT_FOUND, `nothing was asked of exporter ${id}`);
            await receive(call, target);
            call.end();
          } catch (error) {
            const exists = error instanceof ServiceRefusal && error.code === status.ALREADY_EXISTS;
            if (!exists) options.onProblem?.(id, error);
            call.emit("error", statusOf(error));
          }
        };
        const over = transfer();
        options.onTransfer?.(over);
      },
    },
  ]);
}

function receive(call: ServerDuplexStream<Buffer, Buffer>, target: FileSendTarget): Promise<void> {
  switch (target.kind) {
    case "dir": {
      const gone = new AbortController();
      call.on("cancelled", () => gone.abort(new Error("the daemon gave up sending")));
      return receiveTree(packetChannel(call), target.path, { signal: gone.signal }).then(() => undefined);
    }
    case "file":
      target.onMetadata?.(metadataOf(call));
      return receiveFile(call, target.path);
    case "stream":
      target.onMetadata?.(metadataOf(call));
      return receiveStream(call, target);
    default:
      return target satisfies never;
  }
}

async function receiveFile(call: ServerDuplexStream<Buffer, Buffer>, path: string): Promise<void> {
  const temporary = `${path}.${randomId()}.part`;
  try {
    await pour(call, createWriteStream(temporary, { flags: "wx" }));
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function receiveStream(call: ServerDuplexStream<Buffer, Buffer>, target: StreamTarget): Promise<void> {
  const out = await target.open();
  if (out === undefined) throw new ServiceRefusal(status.ALREADY_EXISTS, "the target exists");
  await pour(call, out);
}

/** Writes all data of the call, honouring the writer's pace; rejects when the call ends before its end. */
async function pour(call: ServerDuplexStream<Buffer, Buffer>, out: Writable): Promise<void> {
  const done = finished(out);
  // Awaited below; until then a failure must not count as unhandled.
  done.catch(() => {});
  // A target that takes nothing more would otherwise be waited for although nothing more comes.
  const giveUp = (): void => {
    out.destroy();
  };
  call.once("cancelled", giveUp);
  try {
    for await (const message of call.iterator({ destroyOnReturn: false })) {
      const data = decodeBytesMessage(message as Buffer);
      if (data.length === 0 || out.write(data)) continue;
      await drained(out);
      if (out.destroyed) break;
    }
    if (await wasBrokenOff(call)) throw new Error("the daemon broke off before the end");
    call.off("cancelled", giveUp);
    out.end();
    await done;
  } catch (error) {
    out.destroy();
    throw error;
  }
}

/** Waits until a full stream takes more, or has closed. */
function drained(out: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      out.off("drain", done);
      out.off("close", done);
      resolve();
    };
    out.once("drain", done);
    out.once("close", done);
  });
}

function metadataOf(call: ServerDuplexStream<Buffer, Buffer>): ExporterMetadata {
  const metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(call.metadata.getMap())) {
    if (key.startsWith(metadataPrefix)) metadata[key.slice(metadataPrefix.length)] = value.toString();
  }
  return metadata;
}
