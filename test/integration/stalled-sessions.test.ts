import { expect, it } from "vitest";
import { marshal, image as registryImage } from "../../src/llb/index.js";
import { Client } from "../../src/solver/index.js";
import { engines, registry } from "./support/engines.js";
import { stallSecret } from "./support/stalled-secret.js";
import { stallingProxy } from "./support/stalling-proxy.js";

// Noticing takes 20 to 25 s, so all of them share it.
it.concurrent("SessionHealthMonitorFailsBlockedSecretResponse: a connection that falls silent in the middle of an answer ends the build in time, and not the next one", async () => {
  const outcomes = engines().flatMap((engine) =>
    (["to the daemon", "both ways"] as const).map(async (direction) => ({
      what: `${engine.name}, ${direction}`,
      ...(await stallSecret(engine, direction)),
    })),
  );
  for (const outcome of await Promise.all(outcomes)) {
    expect(outcome).toMatchObject({
      code: "ERR_KILN_CONNECTION_LOST",
      message: expect.stringContaining("dead on one side"),
      next: "built",
    });
    expect(outcome.seconds, outcome.what).toBeLessThan(30);
    expect(outcome.nextSeconds, outcome.what).toBeLessThan(10);
  }
}, 90_000);

it.concurrent("a connection that is dead on one side is noticed within 30 s and said to be", async () => {
  const results = await Promise.all(
    engines().map(async ({ name, address }) => {
      await using proxy = await stallingProxy(address.replace("docker://", ""));
      await using client = await Client.connect(`docker://${proxy.host}`);
      const step = registryImage(`${registry()}/library/busybox:1.36`)
        .run(["/bin/sh", "-c", `echo up; sleep 100 # ${name} ${Date.now()}`])
        .root();
      const solve = client.solve(marshal(step));
      for await (const event of solve) if (event.type === "log") break;
      proxy.stall("both ways");
      const since = Date.now();
      const error = await solve.result.catch((reason: unknown) => reason);
      const seconds = (Date.now() - since) / 1000;
      return { name, error, seconds };
    }),
  );
  for (const { error, seconds } of results) {
    expect(error).toMatchObject({ code: "ERR_KILN_CONNECTION_LOST" });
    expect((error as Error).message).toContain("dead on one side");
    expect(seconds).toBeLessThan(30);
  }
}, 90_000);
