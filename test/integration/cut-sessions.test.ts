import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { engineDown } from "../../src/provision/index.js";
import { type Cut, cutBuilds, engineToCut, makeTree } from "./support/cut-session.js";

let dir: string;
let tree: string;
const prefix = fileURLToPath(new URL("../../.kiln", import.meta.url));

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-cut-"));
  tree = makeTree(dir);
});
afterAll(async () => {
  await engineDown({ prefix, kind: "classic" });
  rmSync(dir, { recursive: true, force: true });
});

for (const [cut, words, times, builds] of [
  ["the socket is killed", /lost|ended the session/, 3, 1],
  ["the daemon is killed", /lost|ended the session/, 3, 1],
  // Noticing takes 20 s each time, so three builds share it.
  ["the daemon is stopped", /dead on one side/, 1, 3],
] as const satisfies readonly (readonly [Cut, RegExp, number, number])[]) {
  it(`${cut} in the middle: a typed error in time, nothing half-written, no hang`, async () => {
    for (let repetition = 0; repetition < times; repetition += 1) {
      const engine = await engineToCut(prefix);
      for (const outcome of await cutBuilds(cut, { engine, tree, dir, builds })) {
        expect(outcome).toMatchObject({ code: "ERR_KILN_CONNECTION_LOST", leftovers: [] });
        expect(outcome.message).toMatch(words);
        expect(outcome.seconds).toBeLessThan(30);
      }
    }
  }, 90_000);
}
