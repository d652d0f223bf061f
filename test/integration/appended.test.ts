import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { type BuildOptions, Image, ociLayout, registry as registryOutput } from "../../src/index.js";
import { type CountingProxy, countingProxy } from "./support/counting-proxy.js";
import { describeOneEngine, registry } from "./support/engines.js";
import { loadedModulesHook } from "./support/loaded-modules.js";
import { fresh, pinned, type SeenBuild, Workbench } from "./support/rebuild.js";
import { type ReadImage, readLayoutImage, readRegistryImage } from "./support/registry-image.js";
import { runCli } from "./support/run-cli.js";
import { expectSame } from "./support/same-image.js";

const root = new URL("../../", import.meta.url).pathname;

describeOneEngine("modern", "an image that ends with a directory of which a file changed", ({ address }) => {
  let bench: Workbench;
  let proxy: CountingProxy;
  let base: string;
  let dir: string;

  beforeAll(async () => {
    bench = new Workbench(address);
    proxy = await countingProxy(join(bench.dir, "daemon.sock"), address);
    base = await pinned("library/busybox", "1.36");
    dir = bench.place("tree");
    for (let folder = 0; folder < 11; folder += 1) {
      mkdirSync(join(dir, `d${folder}`), { recursive: true });
      for (let file = 0; file < 100; file += 1) {
        writeFileSync(join(dir, `d${folder}`, `f${file}.txt`), `${folder} ${file}\n`);
      }
    }
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    bench.remove();
  });

  const imageOf = (mark: string): Image =>
    Image.fromRegistry(base)
      .runCommands(`echo ${mark} > /before`)
      .addLocalDir(dir, "/app", { copy: true })
      .env({ MARK: mark });
  const build = (of: Image, options: BuildOptions) => bench.build(of, options, { host: proxy.address });
  const edit = (): void => appendFileSync(join(dir, "d5", "f5.txt"), `${fresh()}\n`);

  /** Builds after an edit; how often the daemon was asked for it. */
  async function asked(of: Image, options: BuildOptions): Promise<{ build: SeenBuild; asked: number }> {
    edit();
    const before = proxy.asked();
    return { build: await build(of, options), asked: proxy.asked() - before };
  }

  const typesOf = ({ manifest }: ReadImage): ReadonlySet<string | undefined> =>
    new Set([
      manifest.mediaType,
      manifest.config.mediaType,
      ...manifest.layers.map(({ mediaType }) => mediaType),
    ]);

  it.each([
    ["an OCI layout", () => ociLayout(bench.place("layout"))],
    ["a registry", () => registryOutput(`${registry()}/appended/${fresh()}:1`)],
    [
      "a registry with Docker's types",
      () => registryOutput(`${registry()}/appended/${fresh()}:1`, { ociMediaTypes: false }),
    ],
  ] as const)("is put into %s without a request to the daemon", async (_where, place) => {
    const [image, output] = [imageOf(fresh()), place()];
    const read = () =>
      output.type === "registry" ? readRegistryImage(output.names[0] ?? "") : readLayoutImage(output.dir);
    await build(image, { outputs: [output] });
    const first = await read();
    const edited = await asked(image, { outputs: [output] });
    expect(edited).toMatchObject({
      asked: 0,
      build: { verified: false, vertices: 0, cache: { ran: 1, cached: 2 } },
    });
    expect(edited.build.steps.map(({ outcome }) => outcome)).toEqual(["cached", "cached", "ran", "config"]);
    expect(edited.build.steps[2]?.cause).toMatchObject({ text: expect.stringContaining("d5/f5.txt") });
    const plain = bench.place("plain");
    await bench.build(image, { outputs: [ociLayout(plain)] }, { env: { KILN_CACHE: "off" } });
    const made = await read();
    expectSame(made, await readLayoutImage(plain));
    expect(typesOf(made)).toEqual(typesOf(first));
    // What it wrote is known as any build's is.
    const again = proxy.asked();
    expect(await build(image, { outputs: [output] })).toMatchObject({
      verified: true,
      digest: edited.build.digest,
    });
    expect(proxy.asked()).toBe(again);
  });

  it("loads no gRPC for that in a process of its own", async () => {
    const [hook, recipe, out] = [bench.place("hook.mjs"), bench.place("recipe.mjs"), bench.place("layout")];
    writeFileSync(`${hook}.mjs`, loadedModulesHook);
    writeFileSync(
      `${recipe}.mjs`,
      `import { Image } from ${JSON.stringify(join(root, "dist", "index.js"))};
export default Image.fromRegistry(${JSON.stringify(base)}).addLocalDir(${JSON.stringify(dir)}, "/app", { copy: true });`,
    );
    const run = async () => {
      const seen = bench.place("seen");
      const env = { ...bench.env(), SEEN: seen, NODE_OPTIONS: `--import ${hook}.mjs` };
      const { code } = await runCli(
        ["build", `${recipe}.mjs`, "-o", `oci:${out}`, "--host", proxy.address, "--json"],
        { env },
      );
      expect(code).toBe(0);
      return seen;
    };
    expect(readFileSync(await run(), "utf8")).toMatch(/dist\/shared\/grpc-/);
    edit();
    const [before, first] = [proxy.asked(), await readLayoutImage(out)];
    const modules = readFileSync(await run(), "utf8");
    expect(proxy.asked()).toBe(before);
    expect(modules).toContain("dist/");
    expect(modules).not.toMatch(/shared\/grpc-|@grpc|bufbuild|protobufjs|node:http2/);
    expect((await readLayoutImage(out)).files.get("app/d5/f5.txt")).not.toEqual(
      first.files.get("app/d5/f5.txt"),
    );
  });

  it("is one build for all who ask for it at once", async () => {
    const [image, output] = [imageOf(fresh()), ociLayout(bench.place("layout"))];
    await build(image, { outputs: [output] });
    edit();
    const before = proxy.asked();
    const builds = await Promise.all([1, 2, 3].map(() => build(image, { outputs: [output] })));
    expect(proxy.asked()).toBe(before);
    expect(new Set(builds.map(({ digest }) => digest)).size).toBe(1);
    expect(new Set(builds.filter(({ verified }) => !verified).map(({ ref }) => ref)).size).toBe(1);
  });

  it("is the daemon's work again where something that is needed is not there", async () => {
    const [image, output] = [imageOf(fresh()), ociLayout(bench.place("layout"))];
    await build(image, { outputs: [output] });
    // The layers below are nowhere but at the daemon.
    rmSync(output.dir, { recursive: true });
    expect((await asked(image, { outputs: [output] })).asked).toBeGreaterThan(0);
    expect((await readLayoutImage(output.dir)).files.has("before")).toBe(true);
    expect((await asked(image, { outputs: [output] })).asked).toBe(0);
    // What is below the directory is another image.
    const other = await asked(imageOf(fresh()), { outputs: [output] });
    expect(other.asked).toBeGreaterThan(0);
    expect(other.build.steps.map(({ outcome }) => outcome)).toEqual(["cached", "ran", "ran", "config"]);
    // Something runs after it.
    expect((await asked(image.runCommands("true"), { outputs: [output] })).asked).toBeGreaterThan(0);
    // Another address may be another daemon.
    edit();
    const direct = await bench.build(image, { outputs: [output] });
    expect(direct.phases).toContain(`connecting to ${address}`);
  });

  it("asks the daemon what it is once an hour", async () => {
    const [image, output] = [imageOf(fresh()), ociLayout(bench.place("layout"))];
    await build(image, { outputs: [output] });
    const now = Date.now();
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(now + 59 * 60_000);
    expect((await asked(image, { outputs: [output] })).asked).toBe(0);
    vi.setSystemTime(now + 61 * 60_000);
    expect((await asked(image, { outputs: [output] })).asked).toBeGreaterThan(0);
    expect((await asked(image, { outputs: [output] })).asked).toBe(0);
    // Set back: what was told then is of the future.
    vi.setSystemTime(now);
    expect((await asked(image, { outputs: [output] })).asked).toBeGreaterThan(0);
  });

  it("fails as the daemon's push does where the registry takes nothing, and is recorded", async () => {
    const image = imageOf(fresh());
    const name = `127.0.0.1:9/appended/${fresh()}:1`;
    await build(image, { outputs: [ociLayout(bench.place("layout"))] });
    edit();
    await expect(build(image, { outputs: [registryOutput(name)] })).rejects.toThrow(/127\.0\.0\.1:9/);
  });
});
