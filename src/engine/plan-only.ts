import { hostname } from "node:os";
import type { Chain } from "../image/define-step.js";
import type { Plan } from "../model/plan.js";
import { openSession } from "../session/session.js";
import type { Client } from "../solver/client.js";
import { sessionServices } from "../solver/session-services.js";
import type { BuildOptions } from "./build.js";
import { type EngineSettings, gather, withRootfs } from "./gather.js";
import { choosePlatform, compileChain, resolveFacts } from "./make-plan.js";

/** Makes the plan that a build would carry out; runs nothing, and writes nothing but a lock file that is named. */
export async function planOnly(
  image: Chain,
  options: BuildOptions,
  { client, engine }: { readonly client: Client; readonly engine: EngineSettings },
): Promise<Plan> {
  const { signal } = options;
  signal?.throwIfAborted();
  const local = await gather(image, options, engine);
  const facts = await client.facts({ signal });
  const platform = choosePlatform(options.platform, facts);
  const gathered = await withRootfs(local, { platform, cacheDir: engine.cacheDir });
  const { settings } = gathered;
  const services = sessionServices(client, settings, {
    outputs: [],
    stores: new Map(),
    chooser: undefined,
  });
  const session = openSession(client.connection, { services: services.services, sharedKey: hostname() });
  try {
    const { mirrors } = engine;
    const making = { client, session, gathered, settings, platform, mirrors };
    return await compileChain(image, await resolveFacts(making), making);
  } finally {
    await session.close();
    await services.settled();
  }
}
