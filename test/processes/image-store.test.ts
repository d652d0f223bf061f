import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ImageStore } from "../../src/oci/index.js";
import { bundleModule } from "../unit/internal/bundle-module.js";
import { hexOf, labelOf, writeFakeImage } from "../unit/oci/fake-image.js";

let top: string;
let source: string;
let dir: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "kiln-store-"));
  source = join(top, "source");
  dir = join(top, "data", "images");
});
afterEach(() => {
  rmSync(top, { recursive: true, force: true });
});

const blobs = (): readonly string[] => readdirSync(join(dir, "blobs/sha256"));

it("many processes that are killed while they publish and remove leave a store that is whole", async () => {
  for (let image = 0; image < 4; image += 1) {
    const layers = ["base", Buffer.alloc(300_000, `${image}`)];
    await writeFakeImage(source, { label: `${image}`, layers }, `t${image}`);
  }
  const module = await bundleModule("oci/image-store.ts", top);
  const script = `
    import { ImageStore } from ${JSON.stringify(module)};
    const [dir, source, who] = process.argv.slice(1);
    const store = await ImageStore.open(dir);
    for (let turn = Number(who); ; turn += 1) {
      await store.publishFrom(source, "t" + (turn % 4), "app-" + who);
      process.stdout.write(".");
      if (turn % 3 === 0) await store.publishFrom(source, "t" + ((turn + 1) % 4), "extra-" + who);
      if (turn % 3 === 1) await store.remove("extra-" + who).catch((error) => {
        if (error.code !== "ERR_KILN_IMAGE_NOT_FOUND") throw error;
      });
      if (turn % 5 === 0) await store.gc();
    }`;
  const errors: string[] = [];
  let turns = 0;
  const closed: Promise<unknown>[] = [];
  const start = (who: number): ChildProcess => {
    const args = ["--input-type=module", "-e", script, dir, source, String(who)];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout?.on("data", (data) => {
      turns += String(data).length;
    });
    child.stderr?.on("data", (data) => errors.push(String(data)));
    closed.push(once(child, "close"));
    return child;
  };
  const store = await ImageStore.open(dir);
  let children = [0, 1, 2].map(start);
  for (let kills = 0; kills < 12 && errors.length === 0; kills += 1) {
    // Each has had a turn or so; where the kill falls is the machine's own chance.
    const seen = turns;
    while (turns < seen + 3 && errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    const who = kills % 3;
    children[who]?.kill("SIGKILL");
    children = children.map((child, index) => (index === who ? start(who) : child));
    for (const image of await store.list()) expect(image.problem).toBeUndefined();
  }
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(closed);
  expect(errors).toEqual([]);
  const images = await (await ImageStore.open(dir)).list();
  expect(images.map(({ name }) => name)).toEqual(expect.arrayContaining(["app-0:latest", "app-1:latest"]));
  for (const { digest, problem } of images) {
    expect(problem).toBeUndefined();
    expect(await labelOf(store, digest)).toMatch(/^[0-3]$/);
  }
  for (const name of blobs()) expect(hexOf(readFileSync(join(dir, "blobs/sha256", name)))).toBe(name);
  await store.gc();
  expect(readdirSync(join(dir, "ingest"))).toEqual([]);
  await store.publishFrom(source, "t0", "after");
  expect(await labelOf(store, "after")).toBe("0");
}, 60_000);
