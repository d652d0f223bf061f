import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BuildOptions, Engine, Image, localDir, ociLayout } from "../../src/index.js";
import { describeOneEngine, registry } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-published-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const fresh = (): string => Math.random().toString(36).slice(2, 12);

describeOneEngine("older", "images published under names", ({ address }) => {
  const connect = (imageStore: string): Promise<Engine> =>
    Engine.connect({ host: address, imageStore, env: { KILN_CACHE_DIR: join(dir, "cache") } });

  async function read(engine: Engine, image: Image, options: BuildOptions = {}): Promise<string> {
    const out = mkdtempSync(join(dir, "out-"));
    await engine.build(image, { ...options, outputs: [localDir(out)] }).result;
    return readFileSync(join(out, "out"), "utf8").trim();
  }

  const saying = (text: string): Image =>
    Image.fromRegistry("busybox:latest").runCommands(`echo ${text} > /text`);
  const repeated = (image: Image): Image => image.runCommands("cp /text /out");

  it.each([
    ["on this machine", () => mkdtempSync(join(dir, "store-"))],
    ["in a registry", () => `registry:${registry()}/published/${fresh()}`],
  ])("are built on by name and by digest, and a name moves: %s", async (_title, store) => {
    const imageStore = store();
    await using engine = await connect(imageStore);
    const name = `my_Image-${fresh()}`;
    const first = await engine.build(saying(`one ${name}`), { publish: `${name}:v1` }).result;
    const [published] = first.outputs;
    expect(published).toEqual({ type: "published", target: `${name}:v1`, digest: first.digest });
    expect(await read(engine, repeated(Image.fromName(`${name}:v1`)))).toBe(`one ${name}`);
    const second = await engine.build(saying(`two ${name}`), { publish: `${name}:v1` }).result;
    expect(second.digest).not.toBe(first.digest);
    rmSync(join(dir, "cache"), { recursive: true, force: true });
    await using later = await connect(imageStore);
    expect(await read(later, repeated(Image.fromName(`${name}:v1`)))).toBe(`two ${name}`);
    expect(await read(later, repeated(Image.fromId(first.digest ?? "")))).toBe(`one ${name}`);
  });

  it("are there beside the build's other outputs, and leave no scratch", async () => {
    const store = mkdtempSync(join(dir, "store-"));
    await using engine = await connect(store);
    const layout = join(dir, `layout-${fresh()}`);
    const name = fresh();
    const { outputs } = await engine.build(saying("three"), { outputs: [ociLayout(layout)], publish: name })
      .result;
    expect(outputs.map(({ type }) => type)).toEqual(["oci", "published"]);
    expect(outputs[0]?.digest).toBe(outputs[1]?.digest);
    expect(existsSync(join(layout, "index.json"))).toBe(true);
    const failed = engine.build(saying("four").runCommands("exit 3"), { publish: name }).result;
    await expect(failed).rejects.toMatchObject({ code: "ERR_KILN_STEP_FAILED" });
    expect(await read(engine, repeated(Image.fromName(name)))).toBe("three");
  });

  it("say what there is when one is missing, and refuse wrong names at the call", async () => {
    const store = mkdtempSync(join(dir, "store-"));
    await using engine = await connect(store);
    await engine.build(saying("five"), { publish: "application:v1" }).result;
    await expect(engine.build(Image.fromName("aplication:v1")).result).rejects.toMatchObject({
      code: "ERR_KILN_IMAGE_NOT_FOUND",
      hint: expect.stringContaining("application:v1"),
      location: { file: expect.stringContaining("published.test.ts") },
    });
    await expect(engine.build(Image.fromId(`sha256:${"0".repeat(64)}`)).result).rejects.toMatchObject({
      code: "ERR_KILN_IMAGE_NOT_FOUND",
    });
    expect(() => engine.build(saying("six"), { publish: "a/b" })).toThrow(
      expect.objectContaining({ code: "ERR_KILN_INVALID_REFERENCE" }),
    );
    await expect(connect("relative/dir")).rejects.toMatchObject({ code: "ERR_KILN_INVALID_ARGUMENT" });
  });
});
