import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type Build,
  type BuildEvent,
  type BuildOptions,
  dockerImage,
  Engine,
  Image,
  localDir,
} from "../../src/index.js";
import { baseLayout, describeOneEngine, engines } from "../integration/support/engines.js";
import { fresh, textOf } from "../integration/support/rebuild.js";
import { type CliRun, startCli } from "../integration/support/run-cli.js";
import { type StepGate, stepGate } from "../integration/support/step-gate.js";

/** The same build asked for more than once at a time is carried out once. */
const index = new URL("../../dist/index.js", import.meta.url).pathname;
let dir: string;
let gate: StepGate;
let mark: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-shared-"));
  gate = await stepGate();
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => {
  mark = fresh();
});

/** A command that runs until the gate is opened. */
const command = (end = ""): string => `echo ${mark} begins; ${gate.wait(mark)} > /made; cat /made${end}`;
const base = (): Image => Image.fromOciLayout(baseLayout("busybox"));
const image = (end?: string): Image => base().runCommands(command(end));
const out = (name = "out"): string => join(dir, `${mark}-${name}`);
const made = (): string => textOf(out(), "made");

/** A build, and what it told. */
class Watched {
  readonly events: BuildEvent[] = [];
  readonly build: Build;
  readonly result: Build["result"];
  readonly over: Promise<void>;

  constructor(engine: Engine, of: Image, options: BuildOptions = {}) {
    this.build = engine.build(of, { outputs: [localDir(out())], ...options });
    this.result = this.build.result;
    this.over = this.#watch();
  }

  /** Waits until the step's first words were told, and the step is at the gate. */
  async begun(): Promise<this> {
    await expect.poll(() => gate.asked(mark), { timeout: 60_000, interval: 10 }).toBeGreaterThan(0);
    await expect.poll(() => this.#texts(), { timeout: 60_000, interval: 10 }).toContain(`${mark} begins`);
    return this;
  }

  /** All that is told of a build once it is known what it is, in words. */
  told(): readonly string[] {
    const from = this.events.findIndex(({ type }) => type === "planned");
    return this.events.slice(from).flatMap((event) => (event.type === "progress" ? [] : [wordsOf(event)]));
  }

  #texts(): string {
    return this.events.flatMap((event) => (event.type === "log" ? [event.text] : [])).join("");
  }

  async #watch(): Promise<void> {
    for await (const event of this.build) this.events.push(event);
  }
}

function wordsOf(event: BuildEvent): string {
  return JSON.stringify(event);
}

describeOneEngine("modern", "builds that are the same", ({ address }) => {
  const connect = (env: Record<string, string> = {}): Promise<Engine> =>
    Engine.connect({ host: address, env: { ...process.env, ...env } });

  describe("in one process", () => {
    it("are carried out once, for one engine and for another, and each is told all of it", async () => {
      await using one = await connect();
      await using other = await connect();
      const leader = await new Watched(one, image()).begun();
      const followers = [one, other].map((engine) => new Watched(engine, image()));
      for (const follower of followers) await follower.begun();
      gate.open(mark);
      const all = [leader, ...followers];
      const results = await Promise.all(all.map(({ result }) => result));
      await Promise.all(all.map(({ over }) => over));
      expect(results.map(({ ref }) => ref)).toEqual(Array(3).fill(leader.build.ref));
      expect(results[0]).toMatchObject({ verified: false, cache: { ran: 1 } });
      for (const result of results) expect(result).toEqual(results[0]);
      expect(gate.asked(mark)).toBe(1);
      expect(made()).toBe(`${mark} is open`);
      for (const follower of followers) expect(follower.told()).toEqual(leader.told());
      expect(leader.told().join()).toContain(`${mark} is open`);
      const client = await one.client();
      const records = await Promise.all(all.map(({ build: { ref } }) => client.history({ ref })));
      expect(records.map(({ length }) => length)).toEqual([1, 0, 0]);
    });

    it("fail for all with the same error", async () => {
      await using one = await connect();
      await using other = await connect();
      const leader = await new Watched(one, image("; exit 7")).begun();
      const follower = await new Watched(other, image("; exit 7")).begun();
      gate.open(mark);
      const [error, same] = await Promise.all(
        [leader, follower].map(({ result }) => result.catch((reason: unknown) => reason)),
      );
      expect(error).toMatchObject({
        code: "ERR_KILN_STEP_FAILED",
        exitCode: 7,
        step: { index: 1, id: "runCommands" },
        logTail: [`${mark} begins`, `${mark} is open`],
        location: { file: expect.stringMatching(/shared-builds\.test\.ts$/) },
      });
      expect(same).toBe(error);
      expect(gate.asked(mark)).toBe(1);
    });

    it("go on for who is left, whoever aborts, and stop with the last one", async () => {
      await using engine = await connect();
      const stops = Array.from({ length: 3 }, () => new AbortController());
      const [first, second, third] = await startAll(engine, stops);
      const abort = async (at: number, { result }: Watched): Promise<void> => {
        const since = performance.now();
        stops[at]?.abort(new Error(`enough for ${at}`));
        await expect(result).rejects.toThrow(`enough for ${at}`);
        expect(performance.now() - since).toBeLessThan(at === 2 ? 20_000 : 2_000);
      };
      await abort(1, second);
      await abort(0, first);
      expect(gate.asked(mark)).toBe(1);
      await abort(2, third);
      await third.over;
      expect(third.events.filter(({ type }) => type === "vertex.failed")).toMatchObject([{ canceled: true }]);
    });

    it("are finished by the others when the engine that carries them out is closed, or one that follows", async () => {
      const [leading, leaving] = [await connect(), await connect()];
      await using staying = await connect();
      const leader = await new Watched(leading, image()).begun();
      const leaver = await new Watched(leaving, image()).begun();
      const stayer = await new Watched(staying, image()).begun();
      const since = performance.now();
      await leaving.close();
      await expect(leaver.result).rejects.toMatchObject({ code: "ERR_KILN_CONNECTION_LOST" });
      await leading.close();
      await expect(leader.result).rejects.toMatchObject({ code: "ERR_KILN_CONNECTION_LOST" });
      expect(performance.now() - since).toBeLessThan(10_000);
      await expect
        .poll(() => stayer.events.filter(({ type }) => type === "planned").length, { timeout: 60_000 })
        .toBe(2);
      gate.open(mark);
      expect((await stayer.result).ref).toBe(stayer.build.ref);
      expect(made()).toBe(`${mark} is open`);
    });

    it("are carried out again for the others when the first fails for reasons of its own", async () => {
      const [mine, clone] = [out("tree"), out("clone")];
      mkdirSync(mine);
      for (let at = 0; at < 1_000; at += 1) writeFileSync(join(mine, `${at}`), `${mark} ${at}`);
      cpSync(mine, clone, { recursive: true });
      await using engine = await connect();
      const of = (tree: string): Image => image().addLocalDir(tree, "/data", { copy: true });
      const leader = await new Watched(engine, of(mine)).begun();
      const follower = await new Watched(engine, of(clone)).begun();
      appendFileSync(join(mine, "7"), " changed");
      gate.open(mark);
      await expect(leader.result).rejects.toMatchObject({ code: "ERR_KILN_FILE_CHANGED" });
      expect((await follower.result).ref).toBe(follower.build.ref);
      expect(textOf(out(), "data", "7")).toBe(`${mark} 7`);
      expect(gate.asked(mark)).toBe(1);
    });

    it("are told apart by outputs and options; forced ones and those without an index are nobody else's", async () => {
      await using engine = await connect();
      await using off = await connect({ KILN_CACHE: "off" });
      const limited = base().runCommands(command(), { timeoutMs: 100_000 });
      const place = { outputs: [localDir(out("other"))] };
      const builds = [
        new Watched(engine, image()),
        new Watched(engine, image(), { outputs: [] }),
        new Watched(engine, image(), place),
        new Watched(engine, limited, { outputs: [] }),
        new Watched(engine, image(), { outputs: [], internal: true }),
        new Watched(engine, image(), { outputs: [], sourceLock: out("lock") }),
        new Watched(engine, image(), { outputs: [], credentials: async () => undefined }),
        new Watched(engine, image(), { outputs: [], ignoreCache: true }),
        new Watched(engine, image(), { outputs: [], ignoreCache: true }),
        new Watched(off, image(), { outputs: [] }),
        new Watched(off, image(), { outputs: [] }),
      ];
      for (const build of builds) await build.begun();
      // The daemon joins what is not forced.
      await expect.poll(() => gate.asked(mark), { timeout: 60_000, interval: 10 }).toBe(3);
      gate.open(mark);
      const results = await Promise.all(builds.map(({ result }) => result));
      expect(results.map(({ ref }) => ref)).toEqual(builds.map(({ build }) => build.ref));
      expect([made(), textOf(out("other"), "made")]).toEqual(Array(2).fill(`${mark} is open`));
    });
  });

  describe("in several processes", () => {
    const runs: CliRun[] = [];
    afterAll(() => {
      for (const { child } of runs) child.kill("SIGKILL");
    });

    function recipe(end = ""): string {
      const file = out("recipe.mjs");
      writeFileSync(
        file,
        `import { Image } from ${JSON.stringify(index)};
export default Image.fromOciLayout(${JSON.stringify(baseLayout("busybox"))})
  .runCommands(${JSON.stringify(command(end))});`,
      );
      return file;
    }

    /** Starts a build in a process of its own; resolves once it shows the step's first words. */
    async function build(file: string): Promise<CliRun> {
      const args = [
        "build",
        file,
        "-o",
        `local:${out()}`,
        "--host",
        address,
        "--json",
        "--progress",
        "plain",
      ];
      const run = startCli(args);
      runs.push(run);
      await run.stderrHas(`${mark} begins`);
      return run;
    }

    const refOf = (stdout: string): string => (JSON.parse(stdout) as { ref: string }).ref;

    it("are carried out once, whatever becomes of who follows, and each shows the steps", async () => {
      const file = recipe();
      const leader = await build(file);
      const [follower, leaver] = await Promise.all([build(file), build(file)]);
      leaver.child.kill("SIGINT");
      expect(await leaver.done).toMatchObject({ code: 130 });
      gate.open(mark);
      const [led, followed] = await Promise.all([leader.done, follower.done]);
      expect([led.code, followed.code]).toEqual([0, 0]);
      expect(refOf(followed.stdout)).toBe(refOf(led.stdout));
      expect(gate.asked(mark)).toBe(1);
      expect(made()).toBe(`${mark} is open`);
      const shown = (stderr: string): readonly string[] =>
        stderr.split("\n").filter((line) => line.startsWith("#"));
      expect(shown(followed.stderr)).toEqual(shown(led.stderr));
      expect(shown(led.stderr).join("\n")).toMatch(
        new RegExp(`#2 runCommands [^]*#2 \\| ${mark} begins\n#2 \\| ${mark} is open\n#2 DONE`),
      );
    });

    it("are taken over when the first is killed, and again when the next is aborted", async () => {
      const file = recipe();
      const leader = await build(file);
      const others = await Promise.all([build(file), build(file)]);
      leader.child.kill("SIGKILL");
      const takesOver = (run: CliRun) => run.stderrHas("did not finish: building it here").then(() => run);
      const next = await Promise.any(others.map(takesOver));
      const [last] = others.filter((run) => run !== next);
      await last?.stderrHas("did not finish: following another");
      next.child.kill("SIGINT");
      expect(await next.done).toMatchObject({ code: 130 });
      await last?.stderrHas("did not finish: building it here");
      gate.open(mark);
      expect(await last?.done).toMatchObject({ code: 0 });
      expect(made()).toBe(`${mark} is open`);
    });

    it("fail alike", async () => {
      const file = recipe("; exit 7");
      const [leader, follower] = [await build(file), await build(file)];
      gate.open(mark);
      const [led, followed] = await Promise.all([leader.done, follower.done]);
      const report = ({ stderr }: { readonly stderr: string }): string =>
        stderr.slice(stderr.lastIndexOf("step 2 failed"));
      expect(report(led)).toContain("exit code 7");
      expect(report(followed)).toBe(report(led));
      expect(followed.code).toBe(led.code);
      expect(gate.asked(mark)).toBe(1);
    });
  });

  async function startAll(engine: Engine, stops: readonly AbortController[]) {
    const [a, b, c] = stops.map(({ signal }) => new Watched(engine, image(), { signal }));
    if (a === undefined || b === undefined || c === undefined) throw new Error("three are needed");
    for (const watched of [a, b, c]) await watched.begun();
    return [a, b, c] as const;
  }
});

const [first, second] = engines();
it.runIf(second !== undefined)("builds on two daemons are two", async () => {
  gate.open(mark);
  const addresses = [first?.address, second?.address];
  const both = await Promise.all(addresses.map((host) => Engine.connect({ host })));
  const builds = both.map((engine) => engine.build(image(), { outputs: [dockerImage(`kiln-${mark}`)] }));
  const results = await Promise.all(builds.map(({ result }) => result));
  expect(results.map(({ daemon }) => daemon)).toEqual(addresses);
  expect(results.map(({ verified }) => verified)).toEqual([false, false]);
  await Promise.all(both.map((engine) => engine.close()));
});
