import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { scanTree } from "../../src/cache/trees/scan-tree.js";
import { openTree } from "../../src/fsutil/tree.js";
import { Engine, Image, ociLayout } from "../../src/index.js";
import { ensurePackages } from "../../src/provision/index.js";
import { expectedEntries } from "../unit/cache/trees/expected-tree.js";
import { later, MemoryStore } from "../unit/cache/trees/memory-store.js";
import { listing } from "../unit/fsutil/listing.js";
import { temporaryTree } from "../unit/fsutil/temporary-tree.js";
import { baseLayout, describeOneEngine } from "./support/engines.js";
import { fresh, Workbench } from "./support/rebuild.js";

/** As the kernel keeps the capability to open ports below 1024. */
const capability = "0x0100000200040000000000000000000000000000";

let tools: string;
beforeAll(async () => {
  const prefix = resolve(import.meta.dirname, "../../.kiln");
  const { root } = await ensurePackages({ name: "attr", packages: ["attr"] }, { prefix });
  tools = join(root, "usr/bin");
  const path = process.env["PATH"];
  process.env["PATH"] = `${tools}:${path}`;
  return () => {
    process.env["PATH"] = path;
  };
});

const set = (path: string, name: string, value: string): void => {
  execFileSync(join(tools, "setfattr"), ["-n", name, "-v", value, "--", path]);
};

describe("extended attributes of a real file system", () => {
  it("are sent for files and directories, whatever their names", async () => {
    const root = temporaryTree({ "d/new\nline": "", "d/back\\slash": "", "-e": "", plain: "" });
    set(join(root, "d"), "user.one", "1");
    set(join(root, "d/new\nline"), "user.two", "0x0001ff");
    set(join(root, "d/back\\slash"), "user.three", "3");
    set(join(root, "-e"), "user.four", "4");
    const found = await listing(openTree({ root }));
    expect(
      found.map(({ path, xattrs }) => [path, [...(xattrs ?? [])].map(([name, value]) => [name, [...value]])]),
    ).toEqual([
      ["-e", [["user.four", [0x34]]]],
      ["d", [["user.one", [0x31]]]],
      ["d/back\\slash", [["user.three", [0x33]]]],
      ["d/new\nline", [["user.two", [0, 1, 255]]]],
      ["plain", []],
    ]);
  });

  it("are not sent when told so, or where the program is not", async () => {
    const root = temporaryTree({ f: "" });
    set(join(root, "f"), "user.one", "1");
    const [told] = await listing(openTree({ root, xattrs: "off" }));
    expect(told?.xattrs).toBeUndefined();
    vi.stubEnv("PATH", "/nowhere");
    onTestFinished(() => {
      vi.unstubAllEnvs();
    });
    const [without] = await listing(openTree({ root }));
    expect(without?.xattrs).toBeUndefined();
  });

  it("are found by a scan, and a change of one is seen", async () => {
    const root = temporaryTree({ "d/f": "1", g: "2" });
    set(join(root, "d/f"), "user.one", "1");
    const index = new MemoryStore();
    const scan = () => scanTree({ kind: "dir", root }, { index, key: "k", now: later });
    const before = await scan();
    expect([...before.manifest.entries()]).toEqual(await expectedEntries(openTree({ root })));
    set(join(root, "d/f"), "user.one", "2");
    const after = await scan();
    expect([...after.manifest.entries()]).toEqual(await expectedEntries(openTree({ root })));
    expect(after.manifest.digest).not.toBe(before.manifest.digest);
  });
});

/** Attributes in the tars of a layout's layers. */
function attributesIn(layout: string): readonly string[] {
  const blobs = join(layout, "blobs/sha256");
  const found = readdirSync(blobs).flatMap((name) => {
    const bytes = readFileSync(join(blobs, name));
    const tar = bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
    return [...tar.toString("latin1").matchAll(/SCHILY\.xattr\.([a-z._]+)=/g)].map(([, name = ""]) => name);
  });
  return found.sort();
}

describeOneEngine("older", "extended attributes of a directory of 1,100 files", ({ address }) => {
  let bench: Workbench;
  let root: string;

  beforeAll(() => {
    bench = new Workbench(address);
    root = bench.project(
      Object.fromEntries(Array.from({ length: 1_100 }, (_, at) => [`f${at}`, `content ${at}`])),
    );
    writeFileSync(join(root, "nonce"), fresh());
    mkdirSync(join(root, "dir"));
    set(join(root, "f1"), "user.note", "of f1");
    set(join(root, "dir"), "user.note", "of dir");
    set(join(root, "f2"), "security.capability", capability);
  });
  afterAll(() => bench.remove());

  const question =
    "import os; print({p: {n: os.getxattr('/a/' + p, n) for n in os.listxattr('/a/' + p)} for p in ('f1', 'dir', 'f2')})";

  /** What a command over the directory sees, and the layout. */
  async function seen(
    env: Readonly<Record<string, string>>,
  ): Promise<{ readonly text: string; out: string }> {
    const out = bench.place("out");
    const image = Image.fromOciLayout(baseLayout("python"))
      .addLocalDir(root, "/a", { copy: true })
      .runCommands(`python3 -c "${question}" > /seen # ${fresh()}`)
      .runCommands("cat /seen");
    await using engine = await Engine.connect({ host: address, env: bench.env(env) });
    const build = engine.build(image, { outputs: [ociLayout(out)] });
    let text = "";
    for await (const event of build) {
      if (event.type === "log") text += event.text;
    }
    await build.result;
    return { text, out };
  }

  it("survive as layers, in commands and in the image", async () => {
    const { text, out } = await seen({});
    expect(text).toContain("'f1': {'user.note': b'of f1'}, 'dir': {'user.note': b'of dir'}");
    expect(text).toContain("'f2': {'security.capability': b'\\x01");
    expect(attributesIn(out)).toEqual(["security.capability", "user.note", "user.note"]);
  });

  it("survive file by file in commands; the daemon's own layers leave those of users out", async () => {
    const { text, out } = await seen({ KILN_CACHE: "off" });
    expect(text).toContain("'f1': {'user.note': b'of f1'}, 'dir': {'user.note': b'of dir'}");
    expect(attributesIn(out)).not.toContain("user.note");
  });

  it("that change are noticed, and said", async () => {
    const image = () => Image.fromScratch().addLocalDir(root, "/b", { copy: true });
    const outputs = [ociLayout(bench.place("out"))];
    await bench.build(image(), { outputs, name: "noticed" });
    set(join(root, "f3"), "user.note", "new");
    const { steps, verified } = await bench.build(image(), { outputs, name: "noticed" });
    expect(verified).toBe(false);
    expect(steps.map(({ cause }) => cause?.text)).toEqual([
      undefined,
      "xattrs of 1 of 1,101 files changed: f3",
    ]);
    expect(attributesIn(outputs[0]?.dir ?? "")).toContain("user.note");
  });
});
