import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type BuildEvent,
  Engine,
  FilePatternMatcher,
  Image,
  registry as registryOutput,
} from "../../src/index.js";
import { baseLayout, describeEachEngine, registry } from "./support/engines.js";
import { type ImageFile, readRegistryImage } from "./support/registry-image.js";
import { makeRichTree, type RichTree } from "./support/rich-tree.js";

const epochTime = 315_532_802;

describeEachEngine(
  "a chain with apt, commands, environment and a directory of 3,000 files",
  ({ name, address }) => {
    let engine: Engine;
    let tree: RichTree;
    let image: Image;
    /** The same directory on a small base: to compress that anew takes the daemon no quarter of a minute. */
    let small: Image;
    const target = (tag: string): string => `${registry()}/chain/${name}:${tag}`;

    beforeAll(async () => {
      tree = makeRichTree();
      engine = await Engine.connect({ host: address });
      const ignore = FilePatternMatcher.fromFile(tree.ignoreFile);
      small = Image.fromOciLayout(baseLayout("busybox"))
        .runCommands("echo made > /made")
        .addLocalDir(tree.dir, "/opt/app/data", { copy: true, ignore });
      image = Image.fromOciLayout(baseLayout("debian"))
        .aptInstall("tree", { recommends: false })
        .runCommands("tree --version > /tree-version", "printf '%s' \"$GREETING\" > /greeting-before", {
          env: { GREETING: "step" },
        })
        .env({ GREETING: "hello", PATH: "/opt/app/bin:$PATH" })
        .workdir("/opt/app")
        .addLocalDir(tree.dir, "/opt/app/data", { copy: true, ignore })
        .runCommands("printf '%s' \"$GREETING $PWD $(id -u)\" > /greeting-after")
        .label({ "org.example.kind": "test" })
        .user("1000:1000")
        .entrypoint(["/bin/sh", "-c"])
        .cmd(["echo $GREETING"]);
    });

    afterAll(async () => {
      rmSync(tree.dir, { recursive: true, force: true });
      await engine.close();
    });

    it("arrives in the registry as gzip, file by file and mode by mode", async () => {
      const build = engine.build(image, { outputs: [registryOutput(target("gzip"))] });
      const result = await build.result;
      const pushed = await readRegistryImage(target("gzip"));
      expect(result.digest).toBe(pushed.digest);
      expect(result.outputs).toEqual([{ type: "registry", target: target("gzip"), digest: pushed.digest }]);
      expect(pushed.manifest.layers.every(({ mediaType }) => mediaType.endsWith("gzip"))).toBe(true);
      compareTree(pushed.files, tree);
      expect(pushed.files.get("greeting-before")?.sha256).toBe(sha256Of("step"));
      expect(pushed.files.get("greeting-after")?.sha256).toBe(sha256Of("hello /opt/app 0"));
      const residue = [...pushed.files.keys()].filter((path) =>
        /^var\/lib\/apt\/lists\/.*Packages|^var\/cache\/apt\/archives\/.*\.deb$/.test(path),
      );
      expect(residue).toEqual([]);
      // Masked while the step ran, and whole again: it deletes what apt downloads.
      const clean = pushed.files.get("etc/apt/apt.conf.d/docker-clean");
      expect(clean).toMatchObject({ type: "file", mode: 0o644, uid: 0 });
      expect(clean?.sha256).not.toBe(sha256Of(""));
    });

    it("carries the config of its base and of every step", async () => {
      const { config } = await readRegistryImage(target("gzip"));
      expect(config.os).toBe("linux");
      expect(config.config).toMatchObject({
        User: "1000:1000",
        WorkingDir: "/opt/app",
        Entrypoint: ["/bin/sh", "-c"],
        Cmd: ["echo $GREETING"],
        Labels: { "org.example.kind": "test" },
      });
      const env = new Map(
        config.config?.Env?.map((entry) => entry.split(/=(.*)/s).slice(0, 2) as [string, string]),
      );
      expect(env.get("GREETING")).toBe("hello");
      expect(env.get("PATH")).toMatch(/^\/opt\/app\/bin:\/usr\/local\/sbin:/);
      const layers = config.history?.filter(({ empty_layer }) => empty_layer !== true).length;
      expect(layers).toBe(config.rootfs?.diff_ids.length);
      // The directory is several layers, each with the same line.
      const lines = config.history?.map(({ created_by }) => created_by) ?? [];
      expect(lines.filter((line, index) => line !== lines[index - 1]).slice(1)).toEqual([
        "RUN apt-get update && apt-get install -y --no-install-recommends -- tree",
        "RUN tree --version > /tree-version",
        "RUN printf '%s' \"$GREETING\" > /greeting-before",
        "ENV GREETING=hello PATH=/opt/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "WORKDIR /opt/app",
        "COPY directory /opt/app/data",
        "RUN printf '%s' \"$GREETING $PWD $(id -u)\" > /greeting-after",
        'LABEL org.example.kind="test"',
        "USER 1000:1000",
        'ENTRYPOINT ["/bin/sh","-c"]',
        'CMD ["echo $GREETING"]',
      ]);
    });

    it("arrives as zstd, the base's layers recompressed too", async () => {
      const output = registryOutput(target("zstd"), {
        compression: "zstd",
        compressionLevel: 3,
        forceCompression: true,
      });
      await engine.build(small, { outputs: [output] }).result;
      const pushed = await readRegistryImage(target("zstd"));
      expect(pushed.manifest.layers.length).toBeGreaterThan(2);
      expect(new Set(pushed.manifest.layers.map(({ mediaType }) => mediaType))).toEqual(
        new Set(["application/vnd.oci.image.layer.v1.tar+zstd"]),
      );
      compareTree(pushed.files, tree);
    });

    it("arrives as estargz with a table of contents on every layer, or is refused where that kills the daemon", async () => {
      const output = registryOutput(target("estargz"), { compression: "estargz", forceCompression: true });
      const build = engine.build(small, { outputs: [output] });
      const { goVersion } = await engine.facts();
      if (Number(/go1\.(\d+)/.exec(goVersion ?? "")?.[1] ?? 0) >= 27) {
        await expect(build.result).rejects.toMatchObject({ code: "ERR_KILN_ESTARGZ_CRASHES_DAEMON" });
        await expect(build.result).rejects.toThrow(/containerd\/stargz-snapshotter#2330/);
        // Still alive, and willing to work.
        await engine.build(Image.fromOciLayout(baseLayout("busybox")).runCommands("true")).result;
        return;
      }
      await build.result;
      const pushed = await readRegistryImage(target("estargz"));
      expect(pushed.manifest.layers.length).toBeGreaterThan(2);
      for (const { annotations } of pushed.manifest.layers) {
        expect(annotations?.["containerd.io/snapshot/stargz/toc.digest"]).toMatch(/^sha256:[0-9a-f]{64}$/);
      }
      compareTree(pushed.files, tree);
    });

    it("is there already the second time, and all cached for another output, with the same digest", async () => {
      const before = await readRegistryImage(target("gzip"));
      const same = await engine.build(image, { outputs: [registryOutput(target("gzip"))] }).result;
      expect(same).toMatchObject({ verified: true, digest: before.digest, cache: { ran: 0, cached: 5 } });
      const events: BuildEvent[] = [];
      const build = engine.build(image, { outputs: [registryOutput(target("again"))] });
      for await (const event of build) events.push(event);
      const result = await build.result;
      expect(result.verified).toBe(false);
      expect(
        result.cache.steps.filter(({ outcome }) => outcome !== "config" && outcome !== "cached"),
      ).toEqual([]);
      expect(result.cache.ran).toBe(0);
      expect(result.cache.cached).toBe(5);
      expect(result.digest).toBe(before.digest);
      const unknown = events.filter((event) => "vertex" in event && event.step === undefined);
      const names = new Set(
        unknown.flatMap((event) => ("name" in event && event.type !== "progress" ? [event.name] : [])),
      );
      expect([...names]).toEqual(["exporting to image"]);
    });
  },
);

function compareTree(files: ReadonlyMap<string, ImageFile>, tree: RichTree): void {
  const prefix = "opt/app/data/";
  const found = new Map(
    [...files].flatMap(([path, file]) =>
      path.startsWith(prefix) ? [[path.slice(prefix.length), file]] : [],
    ),
  );
  expect([...found.keys()].sort()).toEqual([...tree.expected.keys()].sort());
  const groups = new Map<string, Set<number | undefined>>();
  for (const [path, expected] of tree.expected) {
    const file = found.get(path);
    const first = file?.type === "link" ? files.get(file.linkname?.replace(/^\.?\//, "") ?? "") : file;
    const actual = {
      type: first?.type,
      mode: expected.type === "symlink" ? 0o777 : first?.mode,
      uid: first?.uid,
      gid: first?.gid,
      mtime: first?.mtime,
      ...(expected.linkname === undefined ? {} : { linkname: first?.linkname }),
      ...(expected.sha256 === undefined ? {} : { sha256: first?.sha256 }),
    };
    const { inode, ...plain } = expected;
    expect({ path, ...actual }).toEqual({ path, ...plain, uid: 0, gid: 0, mtime: epochTime });
    if (inode === undefined || file === undefined) continue;
    const leader = file.type === "link" ? (file.linkname ?? "").replace(/^\.?\//, "") : prefix + path;
    groups.set(leader, (groups.get(leader) ?? new Set()).add(inode));
  }
  // Ten files with three names each: each is one file in the image, too.
  expect(groups.size).toBe(10);
}

function sha256Of(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
