import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { engineDown } from "../../src/provision/index.js";
import { type Cut, cutBuilds, engineToCut, makeTree } from "../integration/support/cut-session.js";

const prefix = fileURLToPath(new URL("../../.kiln", import.meta.url));
let dir: string;
let tree: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-cut-"));
  tree = makeTree(dir);
});
afterAll(async () => {
  await engineDown({ prefix, kind: "classic" });
  rmSync(dir, { recursive: true, force: true });
});

for (const [cut, times, builds] of [
  ["the socket is killed", 50, 1],
  ["the daemon is killed", 50, 1],
  ["the daemon is stopped", 10, 5],
] as const satisfies readonly (readonly [Cut, number, number])[]) {
  it(`fifty times: ${cut} in the middle of a build`, async () => {
    for (let repetition = 0; repetition < times; repetition += 1) {
      const engine = await engineToCut(prefix);
      for (const outcome of await cutBuilds(cut, { engine, tree, dir, builds })) {
        expect(outcome).toMatchObject({ code: "ERR_KILN_CONNECTION_LOST", leftovers: [] });
        expect(outcome.seconds).toBeLessThan(30);
      }
    }
  }, 1_800_000);
}
