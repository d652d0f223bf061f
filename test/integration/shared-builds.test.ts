import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import { type Build, type BuildEvent, dockerImage, Engine, Image, localDir } from "../../src/index.js";
import { removeDockerImage } from "./support/docker-image.js";
import { baseLayout, engines } from "./support/engines.js";

/** The same build asked for by two engines at once is carried out by one of them. */
const [first, second] = engines();
const dir = mkdtempSync(join(tmpdir(), "kiln-shared-"));
let marker: string;

afterAll(() => rmSync(dir, { recursive: true, force: true }));
beforeEach(() => {
  marker = randomUUID();
});

const image = (seconds: number): Image =>
  Image.fromOciLayout(baseLayout("busybox")).runCommands(
    `echo ${marker} | tee /marker; sleep ${seconds}; echo ${marker} is over`,
  );

async function logged(build: Build): Promise<void> {
  for await (const event of build) if (event.type === "log") return;
}

async function eventsOf(build: Build): Promise<readonly BuildEvent[]> {
  const events: BuildEvent[] = [];
  for await (const event of build) events.push(event);
  return events;
}

/** Two engines on one daemon, each with the same build under way; the one that leads comes first. */
async function two(seconds: number) {
  const leader = await Engine.connect({ host: first?.address });
  const follower = await Engine.connect({ host: first?.address });
  const outputs = [localDir(join(dir, marker))];
  const stops = [new AbortController(), new AbortController()] as const;
  const led = leader.build(image(seconds), { outputs, signal: stops[0].signal });
  await logged(led);
  const followed = follower.build(image(seconds), { outputs, signal: stops[1].signal });
  await logged(followed);
  return {
    ...{ leader, led, follower, followed, stops },
    close: () => Promise.all([leader.close(), follower.close()]),
  };
}

it("is carried out by one", async () => {
  const { led, followed, close } = await two(2);
  const [one, other] = await Promise.all([led.result, followed.result]);
  expect(other.ref).toBe(one.ref);
  expect(readFileSync(join(dir, marker, "marker"), "utf8")).toBe(`${marker}\n`);
  await close();
});

it("goes on for the other when the one that carries it out is aborted, and stops with the last", async () => {
  const { led, followed, stops, close } = await two(60);
  const abortedAt = performance.now();
  stops[0].abort(new Error("first"));
  await expect(led.result).rejects.toThrow("first");
  expect(performance.now() - abortedAt).toBeLessThan(10_000);
  const events = eventsOf(followed);
  stops[1].abort(new Error("second"));
  await expect(followed.result).rejects.toThrow("second");
  expect(performance.now() - abortedAt).toBeLessThan(30_000);
  expect((await events).filter(({ type }) => type === "vertex.failed")).toMatchObject([{ canceled: true }]);
  await close();
});

it("is carried out by the other when the engine that does it is closed", async () => {
  const { leader, led, followed, close } = await two(4);
  const events = eventsOf(followed);
  await leader.close();
  await expect(led.result).rejects.toMatchObject({ code: "ERR_KILN_CONNECTION_LOST" });
  await followed.result;
  expect(readFileSync(join(dir, marker, "marker"), "utf8")).toBe(`${marker}\n`);
  expect((await events).filter(({ type }) => type === "planned")).toHaveLength(2);
  await close();
});

it("ends with the engine that only follows it, for that one", async () => {
  const { led, follower, followed, close } = await two(4);
  await follower.close();
  await expect(followed.result).rejects.toMatchObject({ code: "ERR_KILN_CONNECTION_LOST" });
  await led.result;
  await close();
});

it("is another one where its steps may take longer", async () => {
  const engine = await Engine.connect({ host: first?.address });
  const marked = Image.fromOciLayout(baseLayout("busybox"));
  const build = (timeoutMs: number): Build =>
    engine.build(marked.runCommands(`echo ${marker}; sleep 5`, { timeoutMs }));
  const hasty = build(2_500);
  await logged(hasty);
  const patient = build(60_000);
  await expect(hasty.result).rejects.toMatchObject({ code: "ERR_KILN_STEP_TIMEOUT" });
  await patient.result;
  await engine.close();
});

it.runIf(second !== undefined)("is another one on another daemon", async () => {
  const addresses = [first?.address, second?.address];
  const both = await Promise.all(addresses.map((host) => Engine.connect({ host })));
  const builds = both.map((engine) => engine.build(image(1), { outputs: [dockerImage(`kiln-${marker}`)] }));
  const results = await Promise.all(builds.map(({ result }) => result));
  expect(results.map(({ daemon }) => daemon)).toEqual(addresses);
  expect(results.map(({ verified }) => verified)).toEqual([false, false]);
  await Promise.all(both.map((engine) => engine.close()));
  await Promise.all(both.map(({ address }) => removeDockerImage(address, `kiln-${marker}`)));
});
