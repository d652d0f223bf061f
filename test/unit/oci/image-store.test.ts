import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Descriptor, ImageStore, openOciLayout, parsePlatform } from "../../../src/oci/index.js";
import { hexOf, labelOf, writeFakeImage, writeFakeIndex } from "./fake-image.js";

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
const blobOf = (content: string): string => join(dir, "blobs/sha256", hexOf(content));

describe("publishing", () => {
  it("makes an image that is found by name, by tag and by digest when its layout is gone", async () => {
    const { digest } = await writeFakeImage(source, { label: "one", layers: ["base", "app"] });
    const store = await ImageStore.open(dir);
    expect(existsSync(dir)).toBe(false);
    expect(await store.publishFrom(source, undefined, "app")).toEqual({ name: "app:latest", digest });
    await store.publishFrom(await openOciLayout(source), digest, "app:v1");
    rmSync(source, { recursive: true });
    const later = await ImageStore.open(dir);
    expect(await later.resolve("app")).toEqual({ dir, digest, name: "app:latest" });
    expect(await later.resolve(digest)).toEqual({ dir, digest, name: undefined });
    for (const ref of ["app", "app:latest", "app:v1", digest]) expect(await labelOf(later, ref)).toBe("one");
    expect(readFileSync(blobOf("base"), "utf8")).toBe("base");
    expect(readdirSync(join(dir, "ingest"))).toEqual([]);
  });

  it("writes a layout that other tools can read, without the names the image had elsewhere", async () => {
    const image = await writeFakeImage(source, { label: "one", layers: ["base"] }, "elsewhere");
    await (await ImageStore.open(dir)).publishFrom(source, "elsewhere", "app:v1");
    expect(JSON.parse(readFileSync(join(dir, "oci-layout"), "utf8"))).toEqual({
      imageLayoutVersion: "1.0.0",
    });
    expect(JSON.parse(readFileSync(join(dir, "index.json"), "utf8"))).toEqual({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [
        {
          ...image,
          platform: { os: "linux", architecture: "amd64" },
          annotations: {
            "org.opencontainers.image.ref.name": "app:v1",
            "kiln.published-at": expect.stringMatching(/^\d{4}-.*Z$/),
          },
        },
      ],
    });
  });

  it("moves a name that is taken; the former image is found by its digest until it is removed", async () => {
    const store = await ImageStore.open(dir);
    const one = await writeFakeImage(source, { label: "one", layers: ["base", "1"] });
    await store.publishFrom(source, undefined, "app");
    const two = await writeFakeImage(source, { label: "two", layers: ["base", "2"] });
    await store.publishFrom(source, undefined, "app");
    expect(await labelOf(store, "app")).toBe("two");
    expect(await labelOf(store, one.digest)).toBe("one");
    expect((await store.list()).map(({ name, digest }) => [name, digest])).toEqual([
      ["app:latest", two.digest],
      [undefined, one.digest],
    ]);
    // Back again: the name's image is not listed twice.
    await store.publishFrom(dir, one.digest, "app");
    expect((await store.list()).map(({ name, digest }) => [name, digest])).toEqual([
      ["app:latest", one.digest],
      [undefined, two.digest],
    ]);
  });

  it("gives an image of the store a further name, which shares its blobs", async () => {
    const store = await ImageStore.open(dir);
    await writeFakeImage(source, { label: "one", layers: ["base"] });
    const { digest } = await store.publishFrom(source, undefined, "app");
    const before = blobs();
    await store.publishFrom(dir, "app:latest", "app:stable");
    expect(blobs()).toEqual(before);
    expect((await store.resolve("app:stable")).digest).toBe(digest);
  });

  it("takes an index of images whole, attestations too; its images are found by their digests as well", async () => {
    const { index, manifests } = await writeFakeIndex(source, [
      { label: "amd", layers: ["base", "amd"] },
      { label: "arm", layers: ["base", "arm"], architecture: "arm64" },
    ]);
    const store = await ImageStore.open(dir);
    expect((await store.publishFrom(source, undefined, "multi")).digest).toBe(index.digest);
    rmSync(source, { recursive: true });
    const layout = await openOciLayout(dir);
    const arm = await layout.image("multi:latest", parsePlatform("linux/arm64"));
    expect(arm.config.config?.Labels).toEqual({ label: "arm" });
    expect(await store.list()).toMatchObject([
      { name: "multi:latest", platforms: ["linux/amd64", "linux/arm64"], problem: undefined },
    ]);
    const child = await store.resolve(manifests[1]!.digest);
    expect((await layout.image(child.digest, parsePlatform("linux/arm64"))).root.digest).toBe(
      manifests[1]!.digest,
    );
    await expect(store.resolve(`sha256:${hexOf("base")}`)).rejects.toMatchObject({
      code: "ERR_KILN_IMAGE_NOT_FOUND",
    });
    await expect(store.remove(manifests[1]!.digest)).rejects.toMatchObject({
      hint: "It is a part of multi:latest.",
    });
  });

  it("shares files with the layout where it can, and copies where it cannot", async () => {
    await writeFakeImage(source, { label: "one", layers: ["base", "app"] });
    const layer = join(source, "blobs/sha256", hexOf("app"));
    // A blob that is a symlink cannot be linked to.
    const elsewhere = join(top, "app-layer");
    writeFileSync(elsewhere, "app");
    unlinkSync(layer);
    symlinkSync(elsewhere, layer);
    await (await ImageStore.open(dir)).publishFrom(source, undefined, "app");
    expect(statSync(blobOf("base")).ino).toBe(statSync(join(source, "blobs/sha256", hexOf("base"))).ino);
    expect(statSync(blobOf("app")).ino).not.toBe(statSync(elsewhere).ino);
    writeFileSync(elsewhere, "bad");
    expect(readFileSync(blobOf("app"), "utf8")).toBe("app");
  });

  it("copies blobs of several chunks to their last byte", async () => {
    const big = Buffer.alloc(3_500_000, "0123456789abcdef");
    const other = Buffer.alloc(2 * 1024 * 1024, "x");
    await writeFakeImage(source, { label: "big", layers: [big, other] });
    const elsewhere = join(top, "big-layer");
    const layer = join(source, "blobs/sha256", hexOf(big));
    writeFileSync(elsewhere, big);
    unlinkSync(layer);
    symlinkSync(elsewhere, layer);
    await (await ImageStore.open(dir)).publishFrom(source, undefined, "big");
    expect(readFileSync(join(dir, "blobs/sha256", hexOf(big))).equals(big)).toBe(true);
  });

  it.each([
    ["damaged", (path: string) => writeFileSync(path, "bass"), /is damaged/],
    ["cut short", (path: string) => writeFileSync(path, "bas"), /has not the 4 bytes/],
    ["too long", (path: string) => writeFileSync(path, "bases"), /has not the 4 bytes/],
    ["missing", (path: string) => unlinkSync(path), /cannot be read \(ENOENT\)/],
  ])("takes nothing of an image whose layer is %s", async (_how, harm, message) => {
    await writeFakeImage(source, { label: "one", layers: ["base"] });
    harm(join(source, "blobs/sha256", hexOf("base")));
    const store = await ImageStore.open(dir);
    await expect(store.publishFrom(source, undefined, "app")).rejects.toMatchObject({
      code: "ERR_KILN_LAYOUT_INVALID",
      message: expect.stringMatching(message),
    });
    expect(await store.list()).toEqual([]);
    expect(readdirSync(join(dir, "ingest"))).toEqual([]);
  });

  it("replaces a blob of the store that has been cut short", async () => {
    await writeFakeImage(source, { label: "one", layers: ["base"] });
    const store = await ImageStore.open(dir);
    await store.publishFrom(source, undefined, "app");
    rmSync(blobOf("base"));
    writeFileSync(blobOf("base"), "ba");
    expect(await store.list()).toMatchObject([{ problem: expect.stringContaining("missing or cut short") }]);
    await store.publishFrom(source, undefined, "app");
    expect(await store.list()).toMatchObject([{ problem: undefined }]);
  });

  it("refuses names and layouts that are none before anything is made", async () => {
    await writeFakeImage(source, { label: "one", layers: ["base"] });
    const store = await ImageStore.open(dir);
    await expect(store.publishFrom(source, undefined, "a/b")).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_REFERENCE",
    });
    await expect(store.publishFrom(source, "no", "app")).rejects.toMatchObject({
      code: "ERR_KILN_LAYOUT_INVALID",
    });
    await expect(store.publishFrom(join(top, "no"), undefined, "app")).rejects.toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
    });
    expect(existsSync(dir)).toBe(false);
  });

  it("stops when told to, and leaves nothing aside", async () => {
    await writeFakeImage(source, { label: "one", layers: ["base"] });
    const reason = new Error("enough");
    const store = await ImageStore.open(dir);
    const stopped = store.publishFrom(source, undefined, "app", { signal: AbortSignal.abort(reason) });
    await expect(stopped).rejects.toBe(reason);
    expect(readdirSync(join(dir, "ingest"))).toEqual([]);
  });

  it("says so when the store cannot be written", async () => {
    await writeFakeImage(source, { label: "one", layers: ["base"] });
    mkdirSync(join(top, "data"));
    // A file where a directory should be made fails for everybody, root as well.
    writeFileSync(dir, "");
    await expect(ImageStore.open(dir)).rejects.toMatchObject({ code: "ERR_KILN_FILE_UNREADABLE" });
    const store = await ImageStore.open(join(top, "x"));
    writeFileSync(join(top, "x"), "");
    await expect(store.publishFrom(source, undefined, "app")).rejects.toMatchObject({
      code: "ERR_KILN_FILE_UNREADABLE",
    });
    rmSync(join(top, "x"));
    mkdirSync(join(top, "x"));
    writeFileSync(join(top, "x", "ingest"), "");
    await expect(store.publishFrom(source, undefined, "app")).rejects.toMatchObject({
      code: "ERR_KILN_OUTPUT_UNWRITABLE",
      hint: expect.stringContaining("KILN_DATA_DIR"),
    });
  });
});

describe("an image that is not there", () => {
  it("is told with the nearest name and what there is", async () => {
    const store = await ImageStore.open(dir);
    await expect(store.resolve("app")).rejects.toMatchObject({
      code: "ERR_KILN_IMAGE_NOT_FOUND",
      hint: "Nothing is published there.",
    });
    await writeFakeImage(source, { label: "one", layers: ["base"] });
    await store.publishFrom(source, undefined, "my-app:v1");
    await store.publishFrom(source, undefined, "other");
    const location = { file: "/recipe.ts", line: 1, column: 1 };
    await expect(store.resolve("my-app", { location })).rejects.toMatchObject({
      location,
      hint: "Did you mean my-app:v1? There are my-app:v1, other:latest.",
    });
    await expect(store.resolve("othr")).rejects.toMatchObject({
      hint: "Did you mean other:latest? There are my-app:v1, other:latest.",
    });
    await expect(store.resolve("zzz")).rejects.toMatchObject({ hint: "There are my-app:v1, other:latest." });
    await expect(store.resolve(`sha256:${"0".repeat(64)}`)).rejects.toMatchObject({
      code: "ERR_KILN_IMAGE_NOT_FOUND",
    });
    await expect(store.resolve("im-1")).rejects.toMatchObject({ code: "ERR_KILN_INVALID_REFERENCE" });
  });
});

describe("removing", () => {
  let store: ImageStore;
  let one: Descriptor;
  let two: Descriptor;
  beforeEach(async () => {
    store = await ImageStore.open(dir);
    one = await writeFakeImage(source, { label: "one", layers: ["base", "1"] }, "one");
    two = await writeFakeImage(source, { label: "two", layers: ["base", "22"] }, "two");
    await store.publishFrom(source, "one", "one");
    await store.publishFrom(source, "two", "two");
  });

  it("a name keeps what other names need; the image goes with its last name", async () => {
    await store.publishFrom(dir, one.digest, "uno");
    expect(await store.remove("one")).toEqual({ names: ["one:latest"], digests: [], freed: 0 });
    expect(await labelOf(store, "uno")).toBe("one");
    const removed = await store.remove("uno:latest");
    expect(removed).toMatchObject({ names: ["uno:latest"], digests: [one.digest] });
    expect(removed.freed).toBeGreaterThan(1 + one.size);
    expect(existsSync(blobOf("1"))).toBe(false);
    expect(existsSync(blobOf("base"))).toBe(true);
    expect(await labelOf(store, "two")).toBe("two");
    await store.remove("two");
    expect(blobs()).toEqual([]);
    expect(await store.list()).toEqual([]);
  });

  it("an image by its digest is refused while it has names, unless forced", async () => {
    await store.publishFrom(dir, one.digest, "uno");
    await expect(store.remove(one.digest)).rejects.toMatchObject({
      code: "ERR_KILN_IMAGE_IN_USE",
      message: `${one.digest} is one:latest, uno:latest`,
    });
    expect(await labelOf(store, "one")).toBe("one");
    expect(await store.remove(one.digest, { force: true })).toMatchObject({
      names: ["one:latest", "uno:latest"],
      digests: [one.digest],
    });
    await expect(store.resolve("uno")).rejects.toMatchObject({ code: "ERR_KILN_IMAGE_NOT_FOUND" });
  });

  it("an image that lost its name works by digest alone, and with gc", async () => {
    await store.publishFrom(dir, two.digest, "one");
    expect(await store.remove(one.digest)).toMatchObject({ names: [], digests: [one.digest] });
    await store.publishFrom(source, "one", "two");
    await store.publishFrom(source, "one", "one");
    writeFileSync(blobOf("left by a killed process"), "left by a killed process");
    const removed = await store.gc();
    expect(removed).toMatchObject({ names: [], digests: [two.digest] });
    expect(existsSync(blobOf("22"))).toBe(false);
    expect(existsSync(blobOf("left by a killed process"))).toBe(false);
    expect(await labelOf(store, "one")).toBe("one");
    expect(await store.gc()).toEqual({ names: [], digests: [], freed: 0 });
  });

  it("what is not there is refused, also where there is no store, which is not made", async () => {
    await expect(store.remove("no")).rejects.toMatchObject({ code: "ERR_KILN_IMAGE_NOT_FOUND" });
    const none = await ImageStore.open(join(top, "none"));
    await expect(none.remove("no")).rejects.toMatchObject({ code: "ERR_KILN_IMAGE_NOT_FOUND" });
    expect(await none.gc()).toEqual({ names: [], digests: [], freed: 0 });
    expect(existsSync(join(top, "none"))).toBe(false);
  });

  it("stops before it deletes anything if an image that stays is damaged, and says which to remove", async () => {
    const manifest = join(dir, "blobs/sha256", two.digest.slice(7));
    chmodSync(manifest, 0o644);
    writeFileSync(manifest, "{}");
    await expect(store.remove("one")).rejects.toMatchObject({
      code: "ERR_KILN_LAYOUT_INVALID",
      hint: expect.stringContaining("kiln images rm two:latest"),
    });
    expect(await labelOf(store, "one")).toBe("one");
    expect(await store.list()).toMatchObject([
      { name: "one:latest", problem: undefined },
      { name: "two:latest", platforms: [], problem: expect.stringContaining("is damaged") },
    ]);
    await store.remove("two");
    expect(await labelOf(store, "one")).toBe("one");
  });
});

describe("a directory that is no whole store", () => {
  const put = (name: string, content: string): void => {
    mkdirSync(join(dir, name, ".."), { recursive: true });
    writeFileSync(join(dir, name), content);
  };

  it.each([
    ["another one's files", { "notes.txt": "" }, /holds notes.txt/],
    ["a damaged marker", { "oci-layout": "{" }, /no version that is known/],
    ["a later version", { "oci-layout": '{"imageLayoutVersion":"2.0.0"}' }, /no version that is known/],
    ["no index", { "oci-layout": '{"imageLayoutVersion":"1.0.0"}' }, /index.json is missing/],
    [
      "half an index",
      { "oci-layout": '{"imageLayoutVersion":"1.0.0"}', "index.json": '{"manifests":[' },
      /index.json is damaged/,
    ],
    [
      "an index of something else",
      { "oci-layout": '{"imageLayoutVersion":"1.0.0"}', "index.json": '{"manifests":[{"digest":"../x"}]}' },
      /index.json is damaged/,
    ],
  ])("for it holds %s, is refused and left alone", async (_what, files, message) => {
    await writeFakeImage(source, { label: "one", layers: ["base"] });
    const store = await ImageStore.open(dir);
    for (const [name, content] of Object.entries(files)) put(name, content);
    const refused = { code: "ERR_KILN_LAYOUT_INVALID", message: expect.stringMatching(message) };
    await expect(ImageStore.open(dir)).rejects.toMatchObject(refused);
    for (const call of [
      () => store.list(),
      () => store.resolve("app"),
      () => store.remove("app"),
      () => store.gc(),
      () => store.publishFrom(source, undefined, "app"),
    ]) {
      await expect(call()).rejects.toMatchObject(refused);
    }
    expect(readdirSync(dir).sort()).toEqual(Object.keys(files).sort());
  });

  it("for its maker was stopped, is finished by the next", async () => {
    put("index.json", '{"schemaVersion":2,"manifests":[]}');
    put("index.json.abc.tmp", "{");
    mkdirSync(join(dir, "lock"));
    await writeFakeImage(source, { label: "one", layers: ["base"] });
    const store = await ImageStore.open(dir);
    expect(await store.list()).toEqual([]);
    await store.publishFrom(source, undefined, "app");
    expect(await labelOf(store, "app")).toBe("one");
  });
});

describe("many at once", () => {
  it("publish without losing a name, while others remove and clean up", async () => {
    for (let image = 0; image < 8; image += 1) {
      await writeFakeImage(source, { label: `${image}`, layers: ["base", `own ${image}`] }, `t${image}`);
    }
    const names = Array.from({ length: 24 }, (_, index) => `app-${index}`);
    const [first, second] = await Promise.all([ImageStore.open(dir), ImageStore.open(dir)]);
    await Promise.all([
      ...names.map((name, index) =>
        (index % 2 === 0 ? first : second).publishFrom(source, `t${index % 8}`, name),
      ),
      ...Array.from({ length: 6 }, () => first.gc()),
    ]);
    expect((await first.list()).map(({ name, problem }) => [name, problem])).toEqual(
      names.map((name) => [`${name}:latest`, undefined]).sort(),
    );
    await Promise.all(names.slice(1).map((name) => second.remove(name)));
    expect(await labelOf(first, "app-0")).toBe("0");
    expect(blobs().length).toBe(4);
  });
});
