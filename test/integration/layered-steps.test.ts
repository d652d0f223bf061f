import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BuildEvent, type BuildOptions, Engine, Image, ociLayout, Secret } from "../../src/index.js";
import { baseLayout, describeOneEngine } from "./support/engines.js";

/** What is below a tree that goes onto the image as layers is solved on its own: its steps are steps of the build. */
describeOneEngine("modern", "steps before a directory of 1,100 files", ({ address }) => {
  let engine: Engine;
  let dir: string;
  const unique = (): string => randomUUID().slice(0, 8);

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "kiln-layered-"));
    const tree = join(dir, "tree");
    for (let at = 0; at < 1_100; at += 1) {
      if (at % 100 === 0) mkdirSync(join(tree, `${at / 100}`), { recursive: true });
      writeFileSync(join(tree, `${Math.floor(at / 100)}`, `${at}.txt`), `file ${at}\n`);
    }
    // Else a daemon that has built this before has nothing to unpack.
    writeFileSync(join(tree, "nonce"), unique());
    engine = await Engine.connect({ host: address });
  });

  afterAll(async () => {
    rmSync(dir, { recursive: true, force: true });
    await engine.close();
  });

  const base = (): Image => Image.fromOciLayout(baseLayout("busybox"));
  const withTree = (image: Image): Image => image.addLocalDir(join(dir, "tree"), "/data", { copy: true });

  async function run(image: Image, options: BuildOptions = {}) {
    const outputs = [ociLayout(join(dir, `out-${unique()}`))];
    const build = engine.build(image, { outputs, ...options });
    const events: BuildEvent[] = [];
    for await (const event of build) events.push(event);
    return { build, events, result: build.result };
  }

  it("are told, counted and tagged as steps of the build", async () => {
    const marker = unique();
    const image = withTree(base().runCommands(`echo below ${marker}`)).runCommands(`echo above ${marker}`);
    const first = await run(image);
    const { cache, verified } = await first.result;
    expect(verified).toBe(false);
    expect(cache.steps.map(({ id, outcome }) => `${id} ${outcome}`).slice(1)).toEqual([
      "runCommands ran",
      "addLocalDir ran",
      "runCommands ran",
    ]);
    const logs = first.events.flatMap((event) => (event.type === "log" ? [[event.step, event.text]] : []));
    expect(logs.map(([step, text]) => `${step} ${text}`.trim())).toEqual([
      `1 below ${marker}`,
      `3 above ${marker}`,
    ]);
    expect(first.events.filter(({ type }) => type === "planned")).toHaveLength(1);
    const planned = first.events.findIndex(({ type }) => type === "planned");
    expect(first.events.findIndex(({ type }) => type === "vertex.started")).toBeGreaterThan(planned);

    const again = await run(image);
    const second = await again.result;
    expect(second.cache).toMatchObject({ ran: 0, cached: 4 });
    expect(again.events.filter(({ type }) => type === "log")).toEqual([]);
  });

  it("fail with their number, command, exit code, output and place", async () => {
    const marker = unique();
    const image = withTree(base().runCommands(`echo last words ${marker}; exit 7`)).runCommands("true");
    const { result } = await run(image);
    await expect(result).rejects.toMatchObject({
      code: "ERR_KILN_STEP_FAILED",
      exitCode: 7,
      command: `echo last words ${marker}; exit 7`,
      step: { index: 1, id: "runCommands" },
      location: { file: expect.stringMatching(/layered-steps\.test\.ts$/) },
    });
    await expect(result).rejects.toThrow(/^step 2 failed: runCommands: echo last words/);
    const error = await result.catch((problem: unknown) => problem);
    expect(Reflect.get(Object(error), "logTail")).toEqual([`last words ${marker}`]);
  });

  it("end when they take longer than they may, and when the build is aborted", async () => {
    const slow = (options: object) =>
      withTree(base().runCommands(`echo begun ${unique()}; sleep 300`, options)).runCommands("true");
    const late = await run(slow({ timeoutMs: 1_000 }));
    await expect(late.result).rejects.toMatchObject({ code: "ERR_KILN_STEP_TIMEOUT" });
    await expect(late.result).rejects.toThrow(/^step 2 took longer than 1000 ms/);

    const stop = new AbortController();
    const reason = new Error("enough");
    const build = engine.build(slow({}), {
      outputs: [ociLayout(join(dir, `out-${unique()}`))],
      signal: stop.signal,
    });
    let abortedAt = 0;
    const events: BuildEvent[] = [];
    for await (const event of build) {
      events.push(event);
      if (event.type === "log" && abortedAt === 0) {
        abortedAt = performance.now();
        stop.abort(reason);
      }
    }
    await expect(build.result).rejects.toBe(reason);
    expect(performance.now() - abortedAt).toBeLessThan(10_000);
    expect(events.filter((event) => event.type === "vertex.failed")).toMatchObject([
      { canceled: true, step: 1 },
    ]);
  });

  it("have their secrets masked", async () => {
    const value = `hush-${unique()}`;
    const command = `echo "$TOKEN" | head -c 100; : ${unique()}`;
    const below = base().runCommands(command, { secrets: [Secret.fromObject({ TOKEN: value })] });
    const { events, result } = await run(withTree(below).runCommands("true"));
    await result;
    expect(JSON.stringify(events)).not.toContain(value);
    expect(events.filter(({ type }) => type === "log")).toMatchObject([
      { text: expect.stringContaining("***") },
    ]);
  });
});
