import {
  create,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { ServerCall } from "./server-call.js";
import type { Attachable, SessionMethod } from "./service.js";

/** What a unary handler may use of its call: metadata, and the signal of the daemon's giving up. */
export type UnaryContext = Pick<ServerCall, "header" | "signal">;

type UnaryHandlers<S extends DescService> = {
  readonly [K in keyof S["method"]]?: S["method"][K] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: UnaryContext) => Promise<MessageInitShape<O>> | MessageInitShape<O>
    : never;
};

/**
 * Makes an attachable service of handlers for a generated service's unary methods.
 *
 * A handler that throws answers with the status that `statusOf` gives its error. Methods without a handler are not
 * offered (the daemon hears `UNIMPLEMENTED`).
 */
export function unaryService<S extends DescService>(service: S, handlers: UnaryHandlers<S>): Attachable {
  return { name: service.typeName, methods: unaryMethods(service, handlers) };
}

/** The methods of {@link unaryService}, for services that have streams as well. */
export function unaryMethods<S extends DescService>(
  service: S,
  handlers: UnaryHandlers<S>,
): readonly SessionMethod[] {
  const methods: SessionMethod[] = [];
  for (const method of service.methods) {
    const handler = (handlers as Record<string, unknown>)[method.localName];
    if (typeof handler !== "function") continue;
    methods.push({
      name: method.name,
      async handle(call) {
        const answer = await handler(fromBinary(method.input, await call.message()), call);
        await call.write(toBinary(method.output, create(method.output, answer)));
      },
    });
  }
  return methods;
}
