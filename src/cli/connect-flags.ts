import type { Command } from "commander";
import { type ConnectOptions, Engine } from "../engine/engine.js";
import { KilnError } from "../errors.js";
import { limitYoungGeneration } from "./young-generation.js";

/** Flags of every command that talks to a daemon. */
export interface ConnectFlags {
  readonly host?: string | undefined;
  readonly tlscacert?: string | undefined;
  readonly tlscert?: string | undefined;
  readonly tlskey?: string | undefined;
  readonly tlsservername?: string | undefined;
}

/** Adds the flags of {@link ConnectFlags} to a command. */
export function addConnectFlags(command: Command): Command {
  return command
    .option(
      "--host <address>",
      "BuildKit to use: unix://, tcp:// or docker:// (default: KILN_HOST, or looked for)",
    )
    .option("--tlscacert <file>", "CA that signed the daemon's certificate")
    .option("--tlscert <file>", "client certificate")
    .option("--tlskey <file>", "key of the client certificate")
    .option("--tlsservername <name>", "name expected in the daemon's certificate");
}

/** Runs `use` with an engine connected as the flags and `more` say, and closes it. */
export async function withEngine<T>(
  flags: ConnectFlags,
  use: (engine: Engine) => Promise<T>,
  more: ConnectOptions = {},
): Promise<T> {
  limitYoungGeneration();
  const engine = await Engine.connect({ ...more, ...connectOptions(flags) });
  try {
    return await use(engine);
  } finally {
    await engine.close();
  }
}

function connectOptions(flags: ConnectFlags): ConnectOptions {
  const { host, tlscacert, tlscert, tlskey, tlsservername } = flags;
  if ((tlscert === undefined) !== (tlskey === undefined)) {
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", "--tlscert and --tlskey belong together", {
      hint: "Give both, or neither.",
    });
  }
  const tls = { caFile: tlscacert, certFile: tlscert, keyFile: tlskey, serverName: tlsservername };
  const hasTls = Object.values(tls).some((value) => value !== undefined);
  return { host, ...(hasTls ? { tls } : {}) };
}
