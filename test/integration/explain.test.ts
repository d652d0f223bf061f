import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { edits } from "../unit/cache/edits.js";
import { Stage } from "./support/carried-out.js";
import { describeOneEngine } from "./support/engines.js";
import { StandInBases } from "./support/stand-in-bases.js";

let dir: string;
let bases: StandInBases;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-explain-"));
  bases = await StandInBases.open();
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

describeOneEngine("older", "why steps run", ({ address }) => {
  describe("after a change of", () => {
    it.concurrent.each(
      edits.filter(({ needs }) => needs !== "device").map((edit, index) => [edit.name, edit, index] as const),
    )("%s", async (_name, { before, after, runs, needs }, index) => {
      await using stage = await Stage.open({
        address,
        bases,
        dir,
        name: `edit-${index}`,
        platforms: needs === "platform" ? ["linux/amd64", "linux/arm64"] : undefined,
      });
      await stage.build(before);
      const { foreseen, happened, explained } = await stage.build(after);
      const causes = happened.flatMap(([what, cause], at) =>
        what === "run" ? [[at, [cause?.kind, cause?.text]]] : [],
      );
      expect(Object.fromEntries(causes)).toEqual(
        Object.fromEntries(
          Object.entries(runs).map(([at, [kind, text]]) => [
            at,
            [kind, typeof text === "string" ? text : expect.stringMatching(text)],
          ]),
        ),
      );
      expect(foreseen).toEqual(happened);
      expect(explained).toEqual(happened);
    });
  });
});
