import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TreeWalk } from "../../src/cache/trees/tree-walk.js";
import { Engine, Image, ociLayout } from "../../src/index.js";
import { WorkerPool } from "../../src/internal/worker-pool.js";
import { baseLayout, describeOneEngine } from "./support/engines.js";
import { filesOfLayout } from "./support/files-of-layout.js";
import { fresh } from "./support/rebuild.js";

const files = 3_000;
const fileName = (at: number): string => `d${Math.floor(at / 100)}/${at}.txt`;

describeOneEngine("modern", "eight builds at once over one directory of 3,000 files", ({ address }) => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "kiln-trees-"));
    for (let at = 0; at < files; at += 1) {
      if (at % 100 === 0) mkdirSync(join(dir, "tree", `d${at / 100}`), { recursive: true });
      writeFileSync(join(dir, "tree", fileName(at)), `file ${at} of ${dir}`);
    }
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(dir, { recursive: true, force: true });
  });

  it("read it once, pack it once, and are each what they are alone", async () => {
    const walk = vi.spyOn(TreeWalk.prototype, "run");
    const tasks = vi.spyOn(WorkerPool.prototype, "run");
    const env = { ...process.env, KILN_CACHE_DIR: join(dir, "cache") };
    await using engine = await Engine.connect({ host: address, env });
    const mark = fresh();
    const builds = Array.from({ length: 8 }, (_, at) => {
      const image = Image.fromOciLayout(baseLayout("busybox"))
        .addLocalDir(join(dir, "tree"), "/data", { copy: true })
        .runCommands(`echo ${mark} ${at} $(cat /data/*/* | wc -c) > /made`);
      return engine.build(image, { outputs: [ociLayout(join(dir, `out-${at}`))] });
    });
    const results = await Promise.all(builds.map(({ result }) => result));
    expect(results.map(({ ref }) => ref)).toEqual(builds.map(({ ref }) => ref));

    // Who came while the walk ran shares the next one, which may find files that are too young to be known by their times.
    const walked = await Promise.all(walk.mock.results.map(({ value }) => value));
    expect(walked[0]).toMatchObject({ filesRead: files });
    expect(walked.length).toBeLessThanOrEqual(2);
    const packed = tasks.mock.calls.filter(([request]) => Object.hasOwn(Object(request), "recipe"));
    const layers = new Set(
      builds.map((_, at) => JSON.stringify(layersOf(join(dir, `out-${at}`)).slice(1, -1))),
    );
    expect([...layers].map((text) => (JSON.parse(text) as string[]).length)).toEqual([packed.length]);

    const texts = Array.from({ length: files }, (_, at) => `file ${at} of ${dir}`);
    for (const at of builds.keys()) {
      const found = await filesOfLayout(join(dir, `out-${at}`));
      expect(found.get("made")).toBe(`${mark} ${at} ${texts.join("").length}\n`);
      expect(texts.filter((text, file) => found.get(`data/${fileName(file)}`) !== text)).toEqual([]);
    }
  });
});

function layersOf(layout: string): readonly string[] {
  const read = (path: string): unknown => JSON.parse(readFileSync(join(layout, path), "utf8"));
  const { manifests } = read("index.json") as { readonly manifests: readonly { readonly digest: string }[] };
  const { layers } = read(`blobs/${manifests[0]?.digest.replace(":", "/")}`) as {
    readonly layers: readonly { readonly digest: string }[];
  };
  return layers.map(({ digest }) => digest);
}
