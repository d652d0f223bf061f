import type { Server, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";

/** A service that a session offers to the daemon. */
export interface Attachable {
  /** Full method names, `/package.Service/Method`: the daemon is told them when the session opens. */
  readonly methods: readonly string[];
  /** Adds the service to the session's gRPC server. */
  register(server: Server): void;
}

/** A gRPC method by hand: raw bytes in and out, so that a service chooses its own codec. */
export interface RawMethod {
  readonly name: string;
  readonly clientStream: boolean;
  readonly serverStream: boolean;
  // biome-ignore lint/complexity/noBannedTypes: grpc-js types handlers by the kind of stream, told apart at run time
  readonly handler: Function;
}

/** Makes an {@link Attachable} of one gRPC service whose messages stay bytes. */
export function rawService(service: string, methods: readonly RawMethod[]): Attachable {
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
  return {
    methods: methods.map(({ name }) => `/${service}/${name}`),
    register: (server) => server.addService(definition, implementation as UntypedServiceImplementation),
  };
}

function identity(bytes: Buffer): Buffer {
  return bytes;
}
