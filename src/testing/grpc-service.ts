import { Duplex } from "node:stream";
import type {
  Server,
  ServerDuplexStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { decodeBytesMessage, encodeBytesMessage } from "../rpc/bytes-message.js";

/** A method of the fake daemon by hand: raw bytes in and out. */
export interface RawMethod {
  readonly name: string;
  readonly clientStream: boolean;
  readonly serverStream: boolean;
  // biome-ignore lint/complexity/noBannedTypes: grpc-js types handlers by the kind of stream, told apart at run time
  readonly handler: Function;
}

/** Adds a service whose messages stay bytes to a server of grpc-js, which is not what sessions are served with. */
export function addRawService(server: Server, service: string, methods: readonly RawMethod[]): void {
  const definition: Record<string, ServiceDefinition[string]> = {};
  const implementation: Record<string, unknown> = {};
  for (const { name, clientStream, serverStream, handler } of methods) {
    definition[name] = {
      path: `/${service}/${name}`,
      requestStream: clientStream,
      responseStream: serverStream,
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    };
    implementation[name] = handler;
  }
  server.addService(definition, implementation as UntypedServiceImplementation);
}

/** A call of `BytesMessage` both ways as one byte pipe; ending the writable side ends the call with OK. */
export function pipeOf(call: ServerDuplexStream<Buffer, Buffer>): Duplex {
  const pipe = new Duplex({
    read: () => {
      call.resume();
    },
    write: (chunk: Buffer, _encoding, callback) => {
      if (call.write(encodeBytesMessage([chunk]))) callback();
      else call.once("drain", () => callback());
    },
    final: (callback) => {
      call.end();
      callback();
    },
  });
  call.on("data", (message: Buffer) => {
    const data = decodeBytesMessage(message);
    if (data.length > 0 && !pipe.push(data)) call.pause();
  });
  call.on("end", () => pipe.push(null));
  call.on("cancelled", () => pipe.destroy());
  return pipe;
}

function identity(bytes: Buffer): Buffer {
  return bytes;
}
