import { expect, it } from "vitest";
import { engines } from "./support/engines.js";
import { stallSecret } from "./support/stalled-secret.js";

// Noticing takes 20 to 25 s, so all of them share it.
it("SessionHealthMonitorFailsBlockedSecretResponse: a connection that falls silent in the middle of an answer ends the build in time, and not the next one", async () => {
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
