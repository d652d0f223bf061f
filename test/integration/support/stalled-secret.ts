import { createDeferred } from "../../../src/internal/deferred.js";
import { marshal, image as registryImage } from "../../../src/llb/index.js";
import { Client } from "../../../src/solver/index.js";
import { registry, type TestEngine } from "./engines.js";
import { stallingProxy } from "./stalling-proxy.js";

/** What became of a build whose connection fell silent while a secret's value was under way. */
export interface StalledOutcome {
  readonly code: string | undefined;
  readonly message: string;
  readonly seconds: number;
  /** How the same client's next build ended. */
  readonly next: string;
  readonly nextSeconds: number;
}

/**
 * Starts a build that needs a secret, and stalls its connection once the daemon waits for the value. Resolves when the
 * build is over for its client and, its connection closed, for the daemon.
 */
export async function stallSecret(
  engine: TestEngine,
  direction: "to the daemon" | "both ways",
): Promise<StalledOutcome> {
  const proxy = await stallingProxy(engine.address.replace("docker://", ""));
  await using client = await Client.connect(`docker://${proxy.host}`);
  await using observer = await Client.connect(engine.address);
  const busybox = registryImage(`${registry()}/library/busybox:1.36`);
  const command = busybox.run(["sh", "-c", `test "$(cat /run/secrets/mine)" = value # ${Math.random()}`], {
    secrets: [{ target: "/run/secrets/mine" }],
  });
  const asked = createDeferred<void>();
  const answer = createDeferred<string>();
  const solve = client.solve(marshal(command.root()), {
    secrets: {
      "/run/secrets/mine": () => {
        asked.resolve();
        return answer.promise;
      },
    },
  });
  solve.result.catch((error: unknown) => asked.reject(error));
  await asked.promise;
  const since = Date.now();
  proxy.stall(direction);
  answer.resolve("value");
  const error = await solve.result.then(
    () => undefined,
    (reason: Error & { readonly code?: string }) => reason,
  );
  const lost = Date.now();
  const next = await client.solve(marshal(busybox)).result.then(
    () => "built",
    (reason: Error) => reason.message,
  );
  const nextSeconds = (Date.now() - lost) / 1000;
  await proxy[Symbol.asyncDispose]();
  // The daemon's own account ends with the build. Before its connection closes 0.13 and 0.25 wait for the answer for ever,
  // health checks or not.
  for await (const _event of observer.follow(solve.ref));
  return {
    code: error?.code,
    message: error?.message ?? "the build succeeded",
    seconds: (lost - since) / 1000,
    ...{ next, nextSeconds },
  };
}
