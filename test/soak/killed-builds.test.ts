import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { describeOneEngine } from "../integration/support/engines.js";
import { killBuilds } from "../integration/support/killed-builds.js";

describeOneEngine("modern", "builds that are killed", ({ address }) => {
  it("leave nothing that hurts: two hundred, at random points, three at once", async () => {
    const dir = mkdtempSync(join(tmpdir(), "kiln-killed-"));
    try {
      const { killed, leftovers } = await killBuilds({ address, dir, kills: 200 });
      expect(killed).toBeGreaterThan(100);
      // Some were killed in the middle of a file.
      expect(leftovers).toBeGreaterThan(0);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }, 1_200_000);
});
