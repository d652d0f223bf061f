import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { status } from "@grpc/grpc-js";
import { KilnError } from "../errors.js";
import { SSH } from "../gen/moby/sshforward/v1/ssh_pb.js";
import { bytesDuplex } from "./grpc/bytes-duplex.js";
import type { ServerCall } from "./grpc/server-call.js";
import type { Attachable, SessionMethod } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";
import { unaryMethods } from "./grpc/unary-service.js";
import { filterAgent } from "./ssh-agent-filter.js";
import { loadSshKeys, serveSshKeys } from "./ssh-key-agent.js";
import type { SshPrivateKey } from "./ssh-private-key.js";
import { checkSshSource, type SshSource } from "./ssh-source.js";

/** The agent that steps get which name none. */
const defaultId = "default";

const idHeader = "buildkit.ssh.id";

/** Options of {@link sshService}. */
export interface SshOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told why an agent or a key could not be given. */
  readonly onProblem?: ((error: KilnError) => void) | undefined;
}

/**
 * Forwards ssh agents and sockets of this machine to steps.
 *
 * An id that is not in `sources` is refused with `unset ssh forward key`, as by BuildKit's client: a step whose agent
 * is optional then runs without. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION` for a source that is
 * none.
 */
export function sshService(sources: Readonly<Record<string, SshSource>>, options: SshOptions): Attachable {
  for (const [id, source] of Object.entries(sources)) checkSshSource(id, source);
  const loaded = new Map<SshSource, Promise<readonly SshPrivateKey[]>>();
  /** The keys of a source; read once for all steps. */
  const keysOf = (source: SshSource & { readonly keys: readonly string[] }) => {
    const known = loaded.get(source) ?? loadSshKeys(source.keys);
    loaded.set(source, known);
    return known;
  };
  const find = (id: string): SshSource => {
    const key = id === "" ? defaultId : id;
    const source = Object.hasOwn(sources, key) ? sources[key] : undefined;
    if (source === undefined) throw new ServiceRefusal(status.NOT_FOUND, `unset ssh forward key ${key}`);
    return source;
  };
  const note = (error: unknown): void => {
    if (error instanceof KilnError) options.onProblem?.(error);
  };
  const methods: readonly SessionMethod[] = [
    ...unaryMethods(SSH, {
      async checkAgent({ ID }) {
        try {
          const source = find(ID);
          // A step whose agent is gone would only see its connection end.
          if ("keys" in source) await keysOf(source);
          else (await open(ID, socketPath(ID, source, options.env))).destroy();
        } catch (error) {
          note(error);
          throw error;
        }
        return {};
      },
    }),
    {
      name: SSH.method.forwardAgent.name,
      async handle(call) {
        try {
          const id = call.header(idHeader) ?? "";
          const source = find(id);
          if ("keys" in source) await serve(call, await keysOf(source));
          else await forward(call, await open(id, socketPath(id, source, options.env)), "socket" in source);
        } catch (error) {
          note(error);
          throw error;
        }
      },
    },
  ];
  return { name: SSH.typeName, methods };
}

async function forward(call: ServerCall, socket: Socket, raw: boolean): Promise<void> {
  const pipe = bytesDuplex(call);
  pipe.on("error", () => {});
  socket.on("error", () => {});
  try {
    if (raw) {
      // The call is over when this machine's side is: gRPC's server cannot half-close.
      const asked = pipeline(pipe, socket);
      asked.catch(() => {});
      await pipeline(socket, pipe);
    } else {
      await filterAgent(pipe, pipe, socket);
      await flushed(pipe);
    }
  } catch (error) {
    // The step that used it has ended: nobody is left to be told.
    if (!call.cancelled) throw error;
  } finally {
    socket.destroy();
  }
}

/** Waits until all that was written is on its way. */
function flushed(pipe: Duplex): Promise<void> {
  return new Promise((resolve) => pipe.end(resolve));
}

async function serve(call: ServerCall, keys: readonly SshPrivateKey[]): Promise<void> {
  const pipe = bytesDuplex(call);
  pipe.on("error", () => {});
  try {
    await serveSshKeys(pipe, pipe, keys);
    await flushed(pipe);
  } catch (error) {
    // The step that used it has ended: nobody is left to be told.
    if (!call.cancelled) throw error;
  }
}

function socketPath(
  id: string,
  source: Exclude<SshSource, { readonly keys: unknown }>,
  env: Readonly<Record<string, string | undefined>>,
): string {
  if ("socket" in source) return source.socket;
  if (source.agent !== true) return source.agent;
  const path = env["SSH_AUTH_SOCK"];
  if (path !== undefined && path !== "") return path;
  throw new KilnError(
    "ERR_KILN_SSH_AGENT",
    `no ssh agent for "${id || defaultId}": SSH_AUTH_SOCK is not set`,
    {
      hint: 'Start one: eval "$(ssh-agent)" && ssh-add. Or name its socket: { agent: "/path/to/socket" }.',
    },
  );
}

function open(id: string, path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error) => {
      reject(
        new KilnError(
          "ERR_KILN_SSH_AGENT",
          `the socket ${path} for "${id || defaultId}" cannot be connected to`,
          {
            cause: error,
            hint: "Check that its program runs and that you may use it.",
          },
        ),
      );
    });
  });
}
