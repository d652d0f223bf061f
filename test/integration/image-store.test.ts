import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { Engine, Image, localDir, ociLayout, parsePlatform } from "../../src/index.js";
import { rootfsLayout } from "../../src/layers/rootfs-layout.js";
import { ociLayout as layoutSource, marshal, mkfile, scratch } from "../../src/llb/index.js";
import { ImageStore, openOciLayout, type Platform, samePlatform } from "../../src/oci/index.js";
import { Client, multiPlatform } from "../../src/solver/index.js";
import { tarOf } from "../unit/layers/tar-bytes.js";
import { baseLayout, describeOneEngine } from "./support/engines.js";
import { runCli } from "./support/run-cli.js";

const arm64 = parsePlatform("linux/arm64");

describeOneEngine("older", "published images", ({ name, address }) => {
  let engine: Engine;
  let native: Platform;
  let dir: string;
  let store: ImageStore;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address });
    const { workers } = await engine.facts();
    const [platform] = workers.flatMap(({ platforms }) => platforms);
    if (platform === undefined) throw new Error("the daemon names no platform");
    native = platform;
  });
  afterAll(() => engine.close());
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "kiln-published-"));
    store = await ImageStore.open(join(dir, "data", "images"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  /** A file of the image that a chain builds. */
  async function fileOf(image: Image, path: string, platform?: string): Promise<string> {
    const out = mkdtempSync(join(dir, "out-"));
    await engine.build(image, { outputs: [localDir(out)], platform }).result;
    return readFileSync(join(out, path), "utf8");
  }

  it("outlive the layout that they came from, and are built upon by name and by digest", async () => {
    const layout = join(dir, "built");
    const mark = `${name} ${Date.now()}`;
    const image = Image.fromOciLayout(baseLayout("busybox"))
      .runCommands(`echo '${mark}' > /mark`)
      .env({ KIND: "published" });
    const built = await engine.build(image, { outputs: [ociLayout(layout)] }).result;
    const published = await store.publishFrom(layout, undefined, "app:v1");
    expect(published).toEqual({ name: "app:v1", digest: built.digest });
    rmSync(layout, { recursive: true });
    for (const ref of ["app:v1", published.digest]) {
      const found = await store.resolve(ref);
      const next = Image.fromOciLayout(found.dir, { ref: found.digest }).runCommands(
        'cat /mark > /next; echo "$KIND" >> /next',
      );
      expect(await fileOf(next, "next")).toBe(`${mark}\npublished\n`);
    }
    expect(await fileOf(Image.fromOciLayout(store.dir, { ref: "app:v1" }), "mark")).toBe(`${mark}\n`);
  });

  it("are read by a daemon that has nothing of them cached", async () => {
    const tar = join(dir, "rootfs.tar.gz");
    writeFileSync(tar, gzipSync(await freshTar()));
    const made = await rootfsLayout(tar, { cacheDir: join(dir, "cache"), platform: native });
    const { digest } = await store.publishFrom(made.dir, made.digest, "fresh");
    rmSync(join(dir, "cache"), { recursive: true });
    const image = Image.fromOciLayout(store.dir, { ref: digest }).runCommands("wc -c < /random > /size");
    expect(await fileOf(image, "size")).toBe("1000\n");
  });

  it("of several platforms are one image, of which each build takes its own", async () => {
    const layout = join(dir, "multi");
    await using client = await Client.connect(address);
    const base = await openOciLayout(baseLayout("busybox"));
    const source = layoutSource(`kiln/layout@${base.resolve().digest}`, {
      platform: native,
      storeId: "base",
    });
    const other = samePlatform(native, arm64) ? parsePlatform("linux/amd64") : arm64;
    await client.build(
      async (gateway) =>
        multiPlatform(
          await Promise.all(
            [native, other].map(async (platform) => {
              const from = platform === native ? source : scratch();
              const state = from.file(mkfile("/arch", platform.architecture));
              return { platform, ref: (await gateway.solve({ definition: marshal(state) })).ref };
            }),
          ),
        ),
      { outputs: [ociLayout(layout)], layouts: new Map([["base", baseLayout("busybox")]]) },
    ).result;
    const { digest } = await store.publishFrom(layout, undefined, "multi");
    rmSync(layout, { recursive: true });
    const [listed] = await store.list();
    expect(listed).toMatchObject({ name: "multi:latest", digest, problem: undefined });
    expect(listed?.platforms).toHaveLength(2);
    const image = Image.fromOciLayout(store.dir, { ref: digest });
    expect(await fileOf(image.runCommands("cat /arch > /own"), "own")).toBe(native.architecture);
    const file = join(dir, "file");
    writeFileSync(file, "x");
    const elsewhere = image.addLocalFile(file, "/added", { copy: true });
    const out = mkdtempSync(join(dir, "other-"));
    await engine.build(elsewhere, { outputs: [localDir(out)], platform: other }).result;
    expect(readdirSync(out).sort()).toEqual(["added", "arch"]);
    expect(readFileSync(join(out, "arch"), "utf8")).toBe(other.architecture);
    // The image of one platform, by the digest that the index has for it.
    const index = await openOciLayout(store.dir);
    const one = await index.image(digest, other);
    const found = await store.resolve(one.manifestDescriptor.digest);
    const chosen = Image.fromOciLayout(found.dir, { ref: found.digest });
    const onlyOut = mkdtempSync(join(dir, "only-"));
    await engine.build(chosen, { outputs: [localDir(onlyOut)], platform: other }).result;
    expect(readFileSync(join(onlyOut, "arch"), "utf8")).toBe(other.architecture);
  });

  it("are listed and removed on the command line", async () => {
    const env = { KILN_DATA_DIR: join(dir, "data") };
    const images = (...args: readonly string[]) => runCli(["images", ...args], { env });
    expect(await images("ls")).toEqual({
      code: 0,
      stdout: "NAME  DIGEST  PLATFORMS  SIZE  PUBLISHED\n",
      stderr: "",
    });
    const { digest } = await store.publishFrom(baseLayout("busybox"), undefined, "app:v1");
    await store.publishFrom(store.dir, digest, "app");
    const listed = (await images("ls")).stdout.split("\n");
    expect(listed[1]).toMatch(
      new RegExp(`^app:latest +${digest} +linux/\\w+ +[\\d.]+ [kM]B +\\d{4}-\\d\\d-\\d\\dT[\\d:]{8}$`),
    );
    expect(listed[2]).toMatch(/^app:v1 /);
    expect(JSON.parse((await images("ls", "--json")).stdout)).toMatchObject([
      { name: "app:latest", digest },
      { name: "app:v1", digest },
    ]);
    const missing = await images("rm", "ap:v1");
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect(missing.stderr).toMatch(/ERR_KILN_IMAGE_NOT_FOUND\][\s\S]*Did you mean app:v1\?/);
    expect((await images("rm", "a/b")).code).toBe(2);
    expect(await images("rm")).toMatchObject({ code: 2, stderr: expect.stringContaining("--unnamed") });
    expect(await images("rm", digest)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("ERR_KILN_IMAGE_IN_USE"),
    });
    expect(await images("rm", "app:v1")).toEqual({ code: 0, stdout: "app:v1\n", stderr: "0 B freed\n" });
    const removed = await images("rm", digest, "--force");
    expect(removed).toMatchObject({ code: 0, stdout: `app:latest\n${digest}\n` });
    expect(removed.stderr).toMatch(/^[\d.]+ [kM]B freed\n$/);
    const tar = join(dir, "rootfs.tar");
    writeFileSync(tar, await freshTar());
    const made = await rootfsLayout(tar, { cacheDir: join(dir, "cache"), platform: native });
    await store.publishFrom(made.dir, made.digest, "moves");
    const base = await store.publishFrom(baseLayout("busybox"), undefined, "moves");
    expect(JSON.parse((await images("rm", "--unnamed", "--json")).stdout)).toMatchObject({
      names: [],
      digests: [made.digest],
    });
    expect((await store.list()).map(({ digest: left }) => left)).toEqual([base.digest]);
  });

  it("may come of a root file system's tar, plain or compressed, which runs commands", async () => {
    for (const [file, bytes] of [
      ["plain.tar", await freshTar()],
      ["packed.tar.gz", gzipSync(await freshTar())],
    ] as const) {
      const tar = join(dir, file);
      writeFileSync(tar, bytes);
      const made = await rootfsLayout(tar, { cacheDir: join(dir, "cache"), platform: native });
      const image = Image.fromOciLayout(made.dir).runCommands(
        `echo "$PATH" > /path; ls /bin/busybox >> /path; echo ${file} ${name} >> /path`,
      );
      expect(await fileOf(image, "path")).toBe(
        `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n/bin/busybox\n${file} ${name}\n`,
      );
      // As a base it keeps its layer: what is exported has the tar's own.
      const layout = join(dir, `${file}.layout`);
      await engine.build(image, { outputs: [ociLayout(layout)] }).result;
      const base = await (await openOciLayout(made.dir)).image(made.digest, native);
      const next = await (await openOciLayout(layout)).image(undefined, native);
      expect(next.config.rootfs?.diff_ids[0]).toBe(base.config.rootfs?.diff_ids[0]);
      expect(next.config.history?.[0]?.created_by).toBe("fromRootfs");
    }
  });

  /** A root file system that no daemon has seen: the busybox image's layer and a file of random bytes. */
  async function freshTar(): Promise<Buffer> {
    const layout = await openOciLayout(baseLayout("busybox"));
    const { manifest } = await layout.image(undefined, native);
    const tar = gunzipSync(readFileSync(layout.blobPath(manifest.layers[0]!.digest)));
    const last = tar.findLastIndex((byte) => byte !== 0);
    const added = await tarOf([{ name: "random", content: randomBytes(1000) }]);
    return Buffer.concat([tar.subarray(0, Math.ceil((last + 1) / 512) * 512), added]);
  }
});
