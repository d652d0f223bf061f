import {
  create,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { KilnError } from "../errors.js";
import { type Attachable, type RawMethod, rawService } from "./attachable.js";

/** A refusal that travels to the daemon as a gRPC status. */
export class ServiceRefusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** What a unary handler knows about its call. */
export interface UnaryContext {
  /** First value of a metadata key, if it was sent. */
  header(name: string): string | undefined;
  /** Aborted when the daemon gives up on the call or the session closes. */
  readonly signal: AbortSignal;
}

type UnaryHandlers<S extends DescService> = {
  readonly [K in keyof S["method"]]?: S["method"][K] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: UnaryContext) => Promise<MessageInitShape<O>> | MessageInitShape<O>
    : never;
};

/**
 * Makes an attachable service of handlers for a generated service's unary methods.
 *
 * A handler that throws {@link ServiceRefusal} answers with that status; any other error becomes `UNKNOWN`
 * with its message. Methods without a handler are not offered (the daemon hears `UNIMPLEMENTED`).
 */
export function unaryService<S extends DescService>(service: S, handlers: UnaryHandlers<S>): Attachable {
  return rawService(service.typeName, unaryMethods(service, handlers));
}

/** The methods of {@link unaryService}, for services that have streams as well. */
export function unaryMethods<S extends DescService>(
  service: S,
  handlers: UnaryHandlers<S>,
): readonly RawMethod[] {
  const methods: RawMethod[] = [];
  for (const method of service.methods) {
    const handler = (handlers as Record<string, unknown>)[method.localName];
    if (typeof handler !== "function") continue;
    methods.push({
      name: method.name,
      clientStream: false,
      serverStream: false,
      handler: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
        const gone = new AbortController();
        call.on("cancelled", () => gone.abort(new Error("the daemon gave up on the call")));
        const context: UnaryContext = { header: (name) => headerOf(call, name), signal: gone.signal };
        void (async () => {
          try {
            const answer = await handler(fromBinary(method.input, call.request), context);
            callback(null, Buffer.from(toBinary(method.output, create(method.output, answer))));
          } catch (error) {
            callback(statusOf(error));
          }
        })();
      },
    });
  }
  return methods;
}

/** A metadata value of an incoming call as text. */
export function headerOf(
  call: { readonly metadata: { get(key: string): readonly (string | Buffer)[] } },
  name: string,
): string | undefined {
  const value = call.metadata.get(name)[0];
  return value === undefined ? undefined : value.toString();
}

/** The gRPC status with which a handler's error travels to the daemon. */
export function statusOf(error: unknown): { readonly code: number; readonly details: string } {
  if (error instanceof ServiceRefusal) return { code: error.code, details: error.message };
  if (error instanceof KilnError && error.code === "ERR_KILN_FILE_NOT_FOUND") {
    return { code: status.NOT_FOUND, details: error.message };
  }
  return { code: status.UNKNOWN, details: error instanceof Error ? error.message : String(error) };
}
