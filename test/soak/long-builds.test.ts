import { expect, it } from "vitest";
import { Engine, Image } from "../../src/index.js";
import { baseLayout, describeEachEngine } from "../integration/support/engines.js";

describeEachEngine("a session over minutes", ({ address }) => {
  it("survives the daemon's health checks while a step is silent for 75 s", async () => {
    await using engine = await Engine.connect({ host: address });
    const image = Image.fromOciLayout(baseLayout("busybox")).runCommands(`sleep 75; echo ${Date.now()}`);
    const result = await engine.build(image).result;
    expect(result.cache.ran).toBe(1);
    expect(result.durationMs).toBeGreaterThan(75_000);
  });

  it("gives the same digest a hundred times over one engine", async () => {
    await using engine = await Engine.connect({ host: address });
    const image = Image.fromOciLayout(baseLayout("busybox")).runCommands("echo once > /file");
    for (let i = 0; i < 100; i += 1) {
      const { cache } = await engine.build(image).result;
      expect(cache.steps.map(({ outcome }) => outcome)).toEqual([
        "cached",
        i === 0 ? expect.any(String) : "cached",
      ]);
    }
  });
});
