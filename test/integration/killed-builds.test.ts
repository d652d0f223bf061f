import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { describeOneEngine } from "./support/engines.js";
import { killBuilds } from "./support/killed-builds.js";

describeOneEngine("older", "builds that are killed", ({ address }) => {
  it("leave nothing that hurts: ten, at random points, three at once", async () => {
    const dir = mkdtempSync(join(tmpdir(), "kiln-killed-"));
    try {
      const { killed } = await killBuilds({ address, dir, kills: 10 });
      expect(killed).toBeGreaterThan(3);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
