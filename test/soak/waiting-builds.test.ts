import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Build, Engine, Image, localDir } from "../../src/index.js";
import { baseLayout, describeEachEngine } from "../integration/support/engines.js";
import { fresh, textOf } from "../integration/support/rebuild.js";
import { startCli } from "../integration/support/run-cli.js";
import { type StepGate, stepGate } from "../integration/support/step-gate.js";

const index = new URL("../../dist/index.js", import.meta.url).pathname;

/** Longer than any daemon bears a session that does not answer. */
const longMs = 75_000;

describeEachEngine("builds that wait for the same build elsewhere", ({ address }) => {
  let dir: string;
  let gate: StepGate;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "kiln-waiting-"));
    gate = await stepGate();
  });
  afterAll(async () => {
    await gate[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  const command = (mark: string): string => `echo ${mark} begins; ${gate.wait(mark)} > /made`;

  it("keep their sessions for longer than a minute, and can be closed at any time", async () => {
    const mark = fresh();
    const out = join(dir, mark);
    const image = Image.fromOciLayout(baseLayout("busybox")).runCommands(command(mark));
    const engines = await Promise.all([1, 2, 3].map(() => Engine.connect({ host: address })));
    const builds: Build[] = [];
    for (const engine of engines) {
      const build = engine.build(image, { outputs: [localDir(out)] });
      for await (const event of build) if (event.type === "log") break;
      builds.push(build);
    }
    await delay(longMs);
    const [leading, leaving, staying] = engines;
    const [leader, leaver, stayer] = builds;
    const since = performance.now();
    await leaving?.close();
    await expect(leaver?.result).rejects.toMatchObject({ code: "ERR_KILN_CONNECTION_LOST" });
    await leading?.close();
    await expect(leader?.result).rejects.toMatchObject({ code: "ERR_KILN_CONNECTION_LOST" });
    expect(performance.now() - since).toBeLessThan(10_000);
    gate.open(mark);
    expect((await stayer?.result)?.ref).toBe(stayer?.ref);
    expect(textOf(out, "made")).toBe(`${mark} is open`);
    await staying?.close();
  });

  it("take over from a process that stands still", async () => {
    const mark = fresh();
    const recipe = join(dir, `${mark}.mjs`);
    writeFileSync(
      recipe,
      `import { Image } from ${JSON.stringify(index)};
export default Image.fromOciLayout(${JSON.stringify(baseLayout("busybox"))})
  .runCommands(${JSON.stringify(command(mark))});`,
    );
    const start = async () => {
      const out = `local:${join(dir, mark)}`;
      const run = startCli(["build", recipe, "-o", out, "--host", address, "--progress", "plain"]);
      await run.stderrHas(`${mark} begins`);
      return run;
    };
    const [leader, follower] = [await start(), await start()];
    try {
      leader.child.kill("SIGSTOP");
      await follower.stderrHas("did not finish: building it here");
      gate.open(mark);
      expect(await follower.done).toMatchObject({ code: 0 });
      expect(textOf(join(dir, mark), "made")).toBe(`${mark} is open`);
    } finally {
      leader.child.kill("SIGKILL");
    }
  });
});
