import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Image, ociLayout } from "../../src/index.js";
import { carryOutEdit, possibleEdits } from "../integration/support/carry-out-edit.js";
import { describeEachEngine, engines } from "../integration/support/engines.js";
import { alike, causesOf, Stage } from "../integration/support/stage.js";
import { StandInBases } from "../integration/support/stand-in-bases.js";
import { plain } from "../unit/cache/explain/edits.js";

let dir: string;
let bases: StandInBases;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-explain-"));
  bases = await StandInBases.open();
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

describeEachEngine("why steps run", ({ name, address }) => {
  const placeOf = (own: string) => ({ bases, at: own, dir: join(dir, `${name}-${own}`) });

  describe("after a change of", () => {
    it.concurrent.each(possibleEdits)("%s is foreseen, and said afterwards", (_name, edit, own) =>
      carryOutEdit(edit, { address, ...placeOf(own) }),
    );
  });

  it("is told alike where a tree goes as layers, solved or appended", async () => {
    await using stage = await Stage.open({ address, ...placeOf("layers") });
    const files = Object.fromEntries(
      Array.from({ length: 1100 }, (_, at) => [`src/d${at % 9}/f${at}`, `${at}`]),
    );
    const copied = Image.fromRegistry("busybox:latest").addLocalDir("src", "/src", { copy: true });
    for (const [image, outputs, after] of [
      [
        copied.runCommands("ls /src > /listed"),
        [],
        { 2: ["earlier-step", "step 2 addLocalDir before it changed"] },
      ],
      [copied, [ociLayout(join(dir, `${name}-out`))], {}],
    ] as const) {
      await stage.build({ image, world: { files } }, { outputs });
      const world = { files: { ...files, "src/d0/f0": `other ${outputs.length}` } };
      const changed = await stage.carryOut({ image, world }, { outputs });
      expect(causesOf(changed)).toEqual({ 1: ["files", "1 of 1,100 files changed: d0/f0"], ...after });
      expect(changed.foreseen).toEqual(changed.happened);
      expect(changed.explained).toEqual(changed.happened);
    }
  });
});

it.skipIf(engines().length < 2)(
  "steps run on a daemon that never had them, and hit on the one that did",
  async () => {
    const place = { bases, at: "elsewhere", dir: join(dir, "elsewhere") };
    const [here = "", there = ""] = engines().map(({ address }) => address);
    const built = async (address: string) => {
      await using stage = await Stage.open({ address, ...place });
      const carriedOut = await stage.carryOut(plain);
      expect(carriedOut.foreseen).toEqual(carriedOut.happened);
      expect(carriedOut.explained).toEqual(carriedOut.happened);
      return causesOf(carriedOut);
    };
    expect(await built(here)).toEqual(alike("first-build", "first build of this chain", [0, 2, 3, 4]));
    expect(await built(there)).toEqual(alike("other-daemon", "first build on this daemon", [0, 2, 3, 4]));
    for (const address of [here, there]) expect(await built(address)).toEqual({});
  },
);
