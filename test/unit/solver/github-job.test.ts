import { expect, it } from "vitest";
import { Client } from "../../../src/solver/index.js";
import { FakeBuildKit } from "../../../src/testing/index.js";

it("finds GitHub's cache in the environment of a job", async () => {
  await using fake = await FakeBuildKit.start();
  const env = {
    DOCKER_CONFIG: "/nowhere",
    ACTIONS_RESULTS_URL: "https://results",
    ACTIONS_RUNTIME_TOKEN: "job",
    ACTIONS_CACHE_SERVICE_V2: "True",
  };
  await using client = await Client.connect(fake.address, { env });
  await client.solve(undefined, {
    cacheExports: [{ type: "gha", scope: "s" }],
    cacheImports: [{ type: "gha", version: "1", url: "https://own", token: "own" }],
  }).result;
  expect(fake.solves().at(-1)?.Cache).toMatchObject({
    Exports: [{ Attrs: { scope: "s", url: "https://results", url_v2: "https://results", token: "job" } }],
    Imports: [{ Attrs: { version: "1", url: "https://own", token: "own" } }],
  });
});
