import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type BuildOptions,
  dockerImage,
  Engine,
  filesTar,
  Image,
  localDir,
  type Output,
  ociLayout,
  ociTar,
  registry as registryOutput,
} from "../../src/index.js";
import { type CountingProxy, countingProxy } from "./support/counting-proxy.js";
import { inspectDockerImage, removeDockerImage } from "./support/docker-image.js";
import { describeOneEngine, registry } from "./support/engines.js";
import { loadedModulesHook } from "./support/loaded-modules.js";
import { fresh, pinned, textOf, Workbench } from "./support/rebuild.js";
import { runCli } from "./support/run-cli.js";

const root = new URL("../../", import.meta.url).pathname;

describeOneEngine("modern", "a build whose outputs are there", ({ address }) => {
  let bench: Workbench;
  let proxy: CountingProxy;
  let base: string;
  let source: string;
  let image: Image;
  const mark = fresh();

  beforeAll(async () => {
    bench = new Workbench(address);
    proxy = await countingProxy(join(bench.dir, "daemon.sock"), address);
    base = await pinned("library/busybox", "1.36");
    source = bench.project({ "src/app.txt": "app", "src/lib/a.txt": "a", "other.txt": "other" });
    image = Image.fromRegistry(base)
      .addLocalDir(source, "/app", { copy: true })
      .runCommands(`echo ${mark} > /made`);
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    bench.remove();
  });

  const build = (of: Image, options: BuildOptions) => bench.build(of, options, { host: proxy.address });

  /** Builds twice; the second time nothing may be done. */
  async function twice(options: BuildOptions): Promise<number> {
    const first = await build(image, options);
    expect(first.verified).toBe(false);
    expect(first.vertices).toBeGreaterThan(0);
    const before = proxy.asked();
    const second = await build(image, options);
    expect(second).toMatchObject({ verified: true, vertices: 0, digest: first.digest });
    expect(second.outputs).toEqual(first.outputs);
    expect(second.cache).toMatchObject({ ran: 0, cached: first.cache.cached + first.cache.ran });
    return proxy.asked() - before;
  }

  const outputs: readonly (readonly [string, (place: string) => BuildOptions])[] = [
    ["an OCI layout", (place) => ({ outputs: [ociLayout(place, { name: "app:1" })] })],
    ["an OCI tar", (place) => ({ outputs: [ociTar(place)] })],
    ["a tar of files", (place) => ({ outputs: [filesTar(place)] })],
    ["a local directory", (place) => ({ outputs: [localDir(place)] })],
    ["an image in a registry", () => ({ outputs: [registryOutput(`${registry()}/verified/${mark}:1`)] })],
    ["a published name", () => ({ publish: `verified-${mark}` })],
    ["a name and a layout", (place) => ({ publish: `both-${mark}`, outputs: [ociLayout(place)] })],
  ];
  it.each(outputs)("is answered without a request to the daemon: %s", async (_title, options) => {
    expect(await twice(options(bench.place("out")))).toBe(0);
  });

  it("asks Docker of the image alone, where Docker has it", async () => {
    const name = `kiln-verified-${mark}:1`;
    const asked = await twice({ outputs: [dockerImage(name)] });
    // One request, over a new connection or one that was kept.
    expect([1, 2]).toContain(asked);
    await removeDockerImage(address, name);
    const again = await build(image, { outputs: [dockerImage(name)] });
    expect(again.verified).toBe(false);
    expect(await inspectDockerImage(address, name)).toMatchObject({ RepoTags: [name] });
    await removeDockerImage(address, name);
  });

  it("asks the daemon what a tag is, and has it solve nothing", async () => {
    const tagged = Image.fromRegistry(`${registry()}/library/busybox:1.36`).runCommands(`: ${mark}`);
    const options = { outputs: [ociLayout(bench.place("layout"))] };
    const first = await build(tagged, options);
    const before = proxy.asked();
    const second = await build(tagged, options);
    expect(second).toMatchObject({ verified: true, vertices: 0, digest: first.digest });
    expect(proxy.asked()).toBeGreaterThan(before);
    await using engine = await Engine.connect({ host: address });
    const client = await engine.client();
    expect(await client.history({ ref: first.ref })).toHaveLength(1);
    expect(await client.history({ ref: second.ref })).toEqual([]);
  });

  it("takes a fresh clone of its directory for the same, wherever that is, and sends nothing", async () => {
    const dir = bench.project({ "a.txt": "a", "b/c.txt": "c" });
    const of = (path: string): Image =>
      Image.fromRegistry(base).addLocalDir(path, "/app", { copy: true }).runCommands(`: clone ${mark}`);
    const options = { outputs: [localDir(bench.place("out"))] };
    await build(of(dir), options);
    const clone = bench.place("clone");
    cpSync(dir, clone, { recursive: true });
    renameSync(dir, `${dir}-old`);
    renameSync(clone, dir);
    const before = proxy.asked();
    expect(await build(of(dir), options)).toMatchObject({ verified: true });
    expect(await build(of(`${dir}-old`), options)).toMatchObject({ verified: true });
    expect(proxy.asked()).toBe(before);
    rmSync(join(dir, "a.txt"));
    expect(await build(of(dir), options)).toMatchObject({ verified: false });
  });

  it("loads neither gRPC nor protobuf in a process of its own", async () => {
    writeFileSync(join(bench.dir, "hooks.mjs"), loadedModulesHook);
    const recipe = join(bench.dir, "recipe.mjs");
    writeFileSync(
      recipe,
      `import { Image } from ${JSON.stringify(join(root, "dist", "index.js"))};
export default Image.fromRegistry(${JSON.stringify(base)})
  .addLocalDir(${JSON.stringify(source)}, "/app", { copy: true })
  .runCommands("echo cli ${mark} > /made");`,
    );
    const out = bench.place("layout");
    const run = async () => {
      const seen = bench.place("seen");
      writeFileSync(seen, "");
      const env = { ...bench.env(), SEEN: seen, NODE_OPTIONS: `--import ${join(bench.dir, "hooks.mjs")}` };
      const args = ["build", recipe, "-o", `oci:${out}`, "--host", proxy.address, "--json"];
      const { code, stdout, stderr } = await runCli(args, { env });
      expect(stderr).not.toContain("hint:");
      expect(code).toBe(0);
      const modules = readFileSync(seen, "utf8");
      return { result: JSON.parse(stdout) as { digest: string; verified: boolean }, modules };
    };
    const first = await run();
    expect(first.result.verified).toBe(false);
    // Else a second run without them would say nothing.
    expect(first.modules).toMatch(/dist\/shared\/grpc-/);
    const before = proxy.asked();
    const second = await run();
    expect(second.result).toMatchObject({ verified: true, digest: first.result.digest });
    expect(proxy.asked()).toBe(before);
    expect(second.modules).toContain("dist/");
    expect(second.modules).not.toMatch(/shared\/grpc-|@grpc|bufbuild|protobufjs|node:http2/);
  });

  it("is no other build: other recipes, outputs and options are built", async () => {
    const layout = bench.place("layout");
    const small = (text = "same"): Image => Image.fromRegistry(base).env({ OPTION: mark, TEXT: text });
    const untagged = `${registry()}/verified/${mark}-options`;
    const name = `${untagged}:1`;
    const usual: readonly Output[] = [registryOutput(name), ociLayout(layout)];
    const again = async (of: Image, options: BuildOptions): Promise<boolean> =>
      (await build(of, options)).verified;
    expect(await again(small(), { outputs: usual })).toBe(false);
    expect(await again(small(), { outputs: usual })).toBe(true);
    const others: Readonly<Record<string, readonly [Image, BuildOptions]>> = {
      "another recipe": [small("other"), { outputs: usual }],
      "one more step": [small().label({ a: "b" }), { outputs: usual }],
      "one output less": [small(), { outputs: [ociLayout(layout)] }],
      "another order of outputs": [small(), { outputs: [...usual].reverse() }],
      "another place": [small(), { outputs: [ociLayout(bench.place("layout"))] }],
      "a name in the layout": [small(), { outputs: [ociLayout(layout, { name: "other" })] }],
      compression: [small(), { outputs: [registryOutput(name, { compression: "zstd" })] }],
      "a level of it": [
        small(),
        { outputs: [registryOutput(name, { compression: "zstd", compressionLevel: 9 })] },
      ],
      "all layers compressed": [
        small(),
        { outputs: [registryOutput(name, { compression: "zstd", forceCompression: true })] },
      ],
      "media types": [small(), { outputs: [registryOutput(name, { ociMediaTypes: true })] }],
      annotations: [small(), { outputs: [registryOutput(name, { annotations: { a: "b" } })] }],
      "another annotation": [small(), { outputs: [registryOutput(name, { annotations: { a: "c" } })] }],
      "by digest": [small(), { outputs: [registryOutput(untagged, { pushByDigest: true })] }],
      "a time for all": [small(), { outputs: usual, sourceDateEpoch: 1_000_000_000 }],
      "another time": [small(), { outputs: usual, sourceDateEpoch: 1_000_000_001 }],
      "times of files too": [
        small(),
        { outputs: [registryOutput(name, { rewriteTimestamp: true })], sourceDateEpoch: 1_000_000_001 },
      ],
      provenance: [small(), { outputs: usual, attestations: { provenance: { mode: "min" } } }],
      "more provenance": [small(), { outputs: usual, attestations: { provenance: { mode: "max" } } }],
      "another platform": [small(), { outputs: usual, platform: "linux/amd64/v2" }],
      "a name": [small(), { outputs: usual, publish: `options-${mark}` }],
      "another name": [small(), { outputs: usual, publish: `options-${mark}:2` }],
      "rules about sources": [
        small(),
        { outputs: usual, sourcePolicy: { rules: [{ action: "allow", selector: { identifier: "*" } }] } },
      ],
    };
    const said: Record<string, readonly boolean[]> = {};
    for (const [title, [of, options]] of Object.entries(others)) {
      said[title] = [await again(of, options), await again(of, options)];
    }
    const expected = Object.fromEntries(Object.keys(others).map((title) => [title, [false, true]]));
    expect(said).toEqual(expected);
    expect(await again(small(), { outputs: usual, forceBuild: true })).toBe(false);
    expect(await again(small(), { outputs: usual, ignoreCache: true })).toBe(false);
  });

  it("does not take what another build wrote to its place for its own", async () => {
    const out = bench.place("out");
    const text = (said: string): Image =>
      Image.fromRegistry(base).runCommands(`echo ${said} ${mark} > /text`);
    const options = { outputs: [localDir(out)] };
    await build(text("one"), options);
    await build(text("two"), options);
    expect(textOf(out, "text")).toBe(`two ${mark}`);
    expect(await build(text("one"), options)).toMatchObject({ verified: false });
    expect(textOf(out, "text")).toBe(`one ${mark}`);
    expect(await build(text("one"), options)).toMatchObject({ verified: true });
    expect(readdirSync(out)).toContain("text");
  });
});
