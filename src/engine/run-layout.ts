import { resolve } from "node:path";
import { KilnError } from "../errors.js";
import { randomId } from "../internal/random-id.js";
import { marshal } from "../llb/marshal.js";
import { ociLayout } from "../llb/oci-layout.js";
import type { BuildEvent } from "../model/events.js";
import { openOciLayout } from "../oci/layout.js";
import type { Platform } from "../oci/platform.js";
import type { Client } from "../solver/client.js";
import { runSessionSolve } from "../solver/run-session-solve.js";
import { SolveError } from "../solver/solve-error.js";
import type { RunOptions } from "./run.js";

/** Runs a command over an image in an OCI layout; see `Engine.run`. */
export async function runLayout(
  client: Client,
  source: { readonly dir: string; readonly ref?: string | undefined },
  options: RunOptions,
  emit: (event: BuildEvent) => void,
): Promise<{ readonly exitCode: number }> {
  const { signal } = options;
  const layout = await openOciLayout(resolve(source.dir));
  const facts = await client.facts({ signal });
  const platform = linuxPlatform(
    facts.workers.flatMap(({ platforms }) => platforms),
    facts.address,
  );
  const image = await layout.image(source.ref, platform);
  const config = image.config.config ?? {};
  const argv = [...(options.entrypoint ?? config.Entrypoint ?? []), ...(options.args ?? config.Cmd ?? [])];
  if (argv.length === 0) {
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `run: the image in ${layout.dir} names no command`, {
      hint: 'Pass args, e.g. engine.run(layout, { args: ["sh", "-c", "…"] }).',
    });
  }
  const store = `kiln-run-${randomId()}`;
  let state = ociLayout(`kiln/layout@${image.root.digest}`, { platform, storeId: store });
  for (const entry of config.Env ?? []) {
    const equals = entry.indexOf("=");
    if (equals > 0) state = state.addEnv(entry.slice(0, equals), entry.slice(equals + 1));
  }
  const dir = options.workdir ?? config.WorkingDir;
  if (dir !== undefined && dir !== "") state = state.dir(dir);
  if (config.User !== undefined && config.User !== "") state = state.user(config.User);
  const executed = state.run(argv, {
    env: options.env ?? {},
    ignoreCache: true,
    customName: `run ${argv.join(" ")}`,
  });
  const definition = marshal(executed.root(), { platform });
  try {
    await runSessionSolve(
      client,
      {
        ref: randomId(),
        facts,
        settings: { signal, layouts: new Map([[store, layout.dir]]), internal: true },
        solved: { definition },
      },
      emit,
    );
    return { exitCode: 0 };
  } catch (error) {
    if (error instanceof SolveError && error.exitCode !== undefined) return { exitCode: error.exitCode };
    throw error;
  }
}

function linuxPlatform(platforms: readonly Platform[], address: string): Platform {
  const found = platforms.find(({ os }) => os === "linux");
  if (found !== undefined) return found;
  throw new KilnError("ERR_KILN_UNSUPPORTED", `the daemon at ${address} offers no Linux platform`);
}
