import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as zlib from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { canReadZstd } from "../../src/layers/read-layer.js";
import { type RootfsLayout, rootfsLayout } from "../../src/layers/rootfs-layout.js";
import { openOciLayout, parsePlatform, sha256 } from "../../src/oci/index.js";
import { skipUnless } from "../unit/fsutil/skip-unless.js";
import { tarOf } from "../unit/layers/tar-bytes.js";

let dir: string;
let cacheDir: string;
let file: string;
let tar: Buffer;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-rootfs-"));
  cacheDir = join(dir, "cache");
  file = join(dir, "rootfs.tar");
  tar = await tarOf([
    { name: "etc/", type: "directory" },
    { name: "etc/motd", content: "hello\n" },
  ]);
  writeFileSync(file, tar);
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const platform = parsePlatform("linux/arm/v6");
const make = (path = file): Promise<RootfsLayout> => rootfsLayout(path, { cacheDir, platform });
const bigTar = (bytes: number, fill = "x"): Promise<Buffer> =>
  tarOf([{ name: "srv/big", content: Buffer.alloc(bytes, fill) }]);
const layouts = (): readonly string[] => readdirSync(join(cacheDir, "rootfs", "layouts"));

/** The image's config, and its layer as the daemon would read it. */
async function read({ dir: at, digest }: RootfsLayout) {
  const layout = await openOciLayout(at);
  const { manifest, config } = await layout.image(digest, platform);
  const [layer] = manifest.layers;
  if (layer === undefined) throw new Error("no layer");
  const bytes = readFileSync(layout.blobPath(layer.digest));
  expect({ digest: sha256(bytes), size: bytes.length }).toEqual({ digest: layer.digest, size: layer.size });
  return { layout, config, layer, bytes };
}

describe("a tar as an image", () => {
  it("is one layer, byte for byte, with a config that says what the tar cannot", async () => {
    const made = await make();
    const { layout, config, layer, bytes } = await read(made);
    expect(bytes.equals(tar)).toBe(true);
    expect(layer.mediaType).toBe("application/vnd.oci.image.layer.v1.tar");
    expect(config).toEqual({
      ...{ architecture: "arm", os: "linux", variant: "v6", created: "1980-01-01T00:00:02Z" },
      config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] },
      rootfs: { type: "layers", diff_ids: [sha256(tar)] },
      history: [{ created: "1980-01-01T00:00:02Z", created_by: "fromRootfs" }],
    });
    expect(layout.resolve()).toMatchObject({
      digest: made.digest,
      platform: { architecture: "arm", os: "linux", variant: "v6" },
    });
    expect(readdirSync(join(cacheDir, "rootfs", "new"))).toEqual([]);
  });

  it.each([
    ["gzip", (bytes: Buffer) => zlib.gzipSync(bytes)],
    // As pigz and bgzip write it.
    [
      "gzip in two members",
      (bytes: Buffer) =>
        Buffer.concat([zlib.gzipSync(bytes.subarray(0, 700)), zlib.gzipSync(bytes.subarray(700))]),
    ],
  ])("stays compressed with %s; its diff id is the plain tar's", async (_how, compress) => {
    const packed = compress(tar);
    writeFileSync(file, packed);
    const { config, layer, bytes } = await read(await make());
    expect(bytes.equals(packed)).toBe(true);
    expect(layer.mediaType).toBe("application/vnd.oci.image.layer.v1.tar+gzip");
    expect(config.rootfs?.diff_ids).toEqual([sha256(tar)]);
  });

  it("is read in pieces that let others have their turns, compressed and plain", async () => {
    const big = await bigTar(24 * 2 ** 20);
    let turns = 0;
    let watching = true;
    const watch = (): void => {
      turns += 1;
      if (watching) setImmediate(watch);
    };
    watch();
    writeFileSync(file, big);
    const plain = await read(await make());
    const turnsOfPlain = turns;
    writeFileSync(file, zlib.gzipSync(big, { level: 1 }));
    const packed = await read(await make());
    watching = false;
    expect(turnsOfPlain).toBeGreaterThanOrEqual(48);
    expect(turns - turnsOfPlain).toBeGreaterThanOrEqual(48);
    expect(packed.config.rootfs?.diff_ids).toEqual(plain.config.rootfs?.diff_ids);
  });

  const zstd: unknown = Reflect.get(zlib, "zstdCompressSync");
  it("stays compressed with zstd", async (context) => {
    skipUnless(context, canReadZstd(), "this version of Node has no zstd");
    if (typeof zstd !== "function") throw new Error("Node unpacks zstd, but does not pack it");
    const packed = Buffer.from(zstd(tar));
    writeFileSync(file, packed);
    const { config, layer, bytes } = await read(await make());
    expect(bytes.equals(packed)).toBe(true);
    expect(layer.mediaType).toBe("application/vnd.oci.image.layer.v1.tar+zstd");
    expect(config.rootfs?.diff_ids).toEqual([sha256(tar)]);
    writeFileSync(file, packed.subarray(0, -8));
    await expect(make()).rejects.toMatchObject({ code: "ERR_KILN_ARCHIVE_INVALID" });
  });

  it("compressed with zstd is refused on a Node that cannot read it", async (context) => {
    skipUnless(context, !canReadZstd(), "this version of Node has zstd");
    writeFileSync(file, Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.alloc(600, 1)]));
    await expect(make()).rejects.toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      hint: "Use Node 22.15 or newer, or unpack it first: zstd -d rootfs.tar",
    });
  });
});

describe("a tar that was made a layout of", () => {
  it("is not read again while it is unchanged", async (context) => {
    skipUnless(context, process.platform === "linux", "no other system counts the bytes that were read");
    writeFileSync(file, await bigTar(20_000_000));
    const first = await make();
    const bytesRead = (): number =>
      Number(/rchar: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))?.[1] ?? Number.NaN);
    const before = bytesRead();
    expect(await make()).toEqual(first);
    symlinkSync(file, join(dir, "link.tar"));
    expect(await make(join(dir, "link.tar"))).toEqual(first);
    expect(bytesRead() - before).toBeLessThan(1_000_000);
  });

  it("has the same layout when it was only touched, moved, or copied elsewhere", async () => {
    const first = await make();
    utimesSync(file, 1_000_000_000, 1_000_000_000);
    expect(await make()).toEqual(first);
    renameSync(file, join(dir, "moved.tar"));
    expect(await make(join(dir, "moved.tar"))).toEqual(first);
    expect(layouts()).toEqual([first.digest.slice(7)]);
  });

  it("has another for another platform", async () => {
    const other = await rootfsLayout(file, { cacheDir, platform: parsePlatform("linux/amd64") });
    expect(other.digest).not.toBe((await make()).digest);
    expect(await make()).toEqual(await make());
  });

  it("is read anew when it changed, also at once and to the same size", async () => {
    const digests = new Set<string>();
    for (const fill of "abcdef") {
      writeFileSync(file, await bigTar(2000, fill));
      const made = await make();
      digests.add(made.digest);
      expect((await read(made)).bytes.equals(await bigTar(2000, fill))).toBe(true);
    }
    expect(digests.size).toBe(6);
    expect(layouts().length).toBe(6);
  });

  it("may be written to: the layer is a copy", async () => {
    const made = await make();
    truncateSync(file, 100);
    expect((await read(made)).bytes.equals(tar)).toBe(true);
  });

  it("is read anew when the cache is deleted or damaged", async () => {
    const made = await make();
    const { layout, layer } = await read(made);
    const [record = ""] = readdirSync(join(cacheDir, "rootfs", "files"));
    const harms: readonly (() => void)[] = [
      () => rmSync(cacheDir, { recursive: true }),
      () => truncateSync(layout.blobPath(layer.digest), 10),
      () => rmSync(layout.blobPath(layer.digest)),
      () => writeFileSync(layout.blobPath(made.digest), "{}"),
      () => writeFileSync(join(made.dir, "index.json"), "{"),
      () => rmSync(made.dir, { recursive: true }),
      () => writeFileSync(join(cacheDir, "rootfs", "files", record), '{"version":1,"digest":"sha256:../x"}'),
      () => writeFileSync(join(cacheDir, "rootfs", "files", record), "null"),
      () => writeFileSync(join(cacheDir, "rootfs", "files", record), '{"version":1,"file":3,"digest":'),
    ];
    for (const harm of harms) {
      harm();
      expect(await make()).toEqual(made);
      expect((await read(made)).bytes.equals(tar)).toBe(true);
    }
  });

  it("is the same for many at once", async () => {
    const made = await Promise.all(Array.from({ length: 6 }, () => make()));
    expect(new Set(made.map(({ digest }) => digest)).size).toBe(1);
    expect(layouts().length).toBe(1);
    expect(readdirSync(join(cacheDir, "rootfs", "new"))).toEqual([]);
    expect((await read(made[0]!)).bytes.equals(tar)).toBe(true);
  });
});

describe("a tar that is written to while it is read", () => {
  /** A signal that is asked before every piece is read: when it is for the third time, something happens. */
  function signalThat(happens: () => void): AbortSignal {
    const { signal } = new AbortController();
    let asked = 0;
    Object.defineProperty(signal, "throwIfAborted", {
      value: () => {
        asked += 1;
        if (asked === 5) happens();
      },
    });
    return signal;
  }

  it.each([
    ["grows", () => appendFileSync(file, "more")],
    ["is cut short", () => truncateSync(file, 600)],
    ["is written over in place", () => writeFileSync(file, Buffer.alloc(3_002_880, 1))],
    [
      "is replaced",
      () => {
        writeFileSync(join(dir, "other"), tar);
        renameSync(join(dir, "other"), file);
      },
    ],
    ["is deleted", () => rmSync(file)],
  ])("and %s is refused, and nothing is kept", async (_how, happens) => {
    writeFileSync(file, await bigTar(3_000_000));
    const signal = signalThat(happens);
    await expect(rootfsLayout(file, { cacheDir, platform, signal })).rejects.toMatchObject({
      code: "ERR_KILN_FILE_CHANGED",
      hint: "Build again once nothing writes to it.",
    });
    expect(readdirSync(join(cacheDir, "rootfs"))).toEqual(["new"]);
    expect(readdirSync(join(cacheDir, "rootfs", "new"))).toEqual([]);
  });
});

describe("what is no root file system's tar", () => {
  const magic = (bytes: string, at = 0): Buffer => {
    const whole = Buffer.alloc(4096, 0x41);
    whole.write(bytes, at, "latin1");
    return whole;
  };
  const latin = (text: string): Buffer => Buffer.from(text, "latin1");
  const invalid = "ERR_KILN_ARCHIVE_INVALID";

  it.each([
    ["xz", () => magic("\xfd7zXZ\0"), /compressed with xz/, "Unpack it first: xz -d rootfs.tar"],
    ["bzip2", () => magic("BZh9"), /compressed with bzip2/, "Unpack it first: bzip2 -d rootfs.tar"],
    ["lzma", () => magic("\x5d\0\0\x80\0"), /compressed with lzma/, /xz -d --format=lzma/],
    ["zip", () => magic("PK\x03\x04"), /a zip archive/, /Unpack it/],
    [
      "a Debian package",
      () => magic("!<arch>\ndebian-binary"),
      /Debian package/,
      /dpkg-deb --fsys-tarfile rootfs.tar/,
    ],
    ["qcow2", () => magic("QFI\xfb"), /a qcow disk image/, /mount it/],
    ["squashfs", () => magic("hsqs"), /a squashfs image/, /unsquashfs/],
    ["a disk", () => magic("\x55\xaa", 510), /a disk image/, /mount it/],
    ["ext4", () => magic("\x53\xef", 1080), /an ext4 file system/, /mount it/],
    ["JSON", () => latin('{"a":1}'), /a JSON file/, /the tar itself/],
    ["a web page", () => latin("<!doctype html>"), /a page of text/, /error page/],
    [
      "text",
      () => latin("hello"),
      /has no header|no header of a tar/,
      /plain or compressed with gzip or zstd/,
    ],
    ["nothing", () => Buffer.alloc(0), /has no header/, /plain or compressed/],
    ["gzip of text", () => zlib.gzipSync("hello"), /has no header/, /plain or compressed/],
    ["a tar cut off", () => tar.subarray(0, 1300), /ends after 1300 bytes/, /Fetch it again/],
    ["gzip cut off", () => zlib.gzipSync(tar).subarray(0, -20), /ends too early/, /Fetch it again/],
    [
      "damaged gzip",
      () => Buffer.concat([zlib.gzipSync(tar).subarray(0, 30), Buffer.alloc(200, 0xff)]),
      /damaged/,
      /again/,
    ],
    [
      "gzip with a tail",
      () => Buffer.concat([zlib.gzipSync(tar), Buffer.alloc(30)]),
      /follows the end/,
      /several parts/,
    ],
    [
      "gzip with a long tail",
      () => Buffer.concat([zlib.gzipSync(tar), Buffer.alloc(3_000_000)]),
      /follows the end/,
      /several parts/,
    ],
    ["two tars", () => Buffer.concat([tar, tar]), /something follows its end/, /in a row/],
    ["a tar of nothing", () => Buffer.alloc(10_240), /no files/, /fromScratch/],
  ] as const)("%s is refused with what to do", async (_what, bytes, message, hint) => {
    writeFileSync(file, bytes());
    const location = { file: "/recipe.ts", line: 1, column: 2 };
    await expect(rootfsLayout(file, { cacheDir, platform, location })).rejects.toMatchObject({
      ...{ code: invalid, location },
      message: expect.stringMatching(message),
      hint: typeof hint === "string" ? hint : expect.stringMatching(hint),
    });
    expect(existsSync(join(cacheDir, "rootfs", "files"))).toBe(false);
  });

  it("what docker save writes is refused", async () => {
    writeFileSync(file, await tarOf([{ name: "oci-layout" }, { name: "index.json" }]));
    await expect(make()).rejects.toMatchObject({
      code: invalid,
      hint: expect.stringContaining("docker export"),
    });
  });

  it("what is no file is refused", async () => {
    await expect(make(join(dir, "no"))).rejects.toMatchObject({ code: "ERR_KILN_FILE_NOT_FOUND" });
    await expect(make(join(file, "no"))).rejects.toMatchObject({ code: "ERR_KILN_FILE_NOT_FOUND" });
    await expect(make(dir)).rejects.toMatchObject({
      code: "ERR_KILN_FILE_UNREADABLE",
      hint: expect.stringContaining("tar -C"),
    });
    execFileSync("mkfifo", [join(dir, "pipe")]);
    await expect(make(join(dir, "pipe"))).rejects.toMatchObject({ code: "ERR_KILN_FILE_UNREADABLE" });
  });

  it("a cache that cannot be written is told", async () => {
    writeFileSync(join(dir, "occupied"), "");
    await expect(rootfsLayout(file, { cacheDir: join(dir, "occupied"), platform })).rejects.toMatchObject({
      code: "ERR_KILN_OUTPUT_UNWRITABLE",
    });
    mkdirSync(join(cacheDir, "rootfs"), { recursive: true });
    writeFileSync(join(cacheDir, "rootfs", "files"), "");
    await expect(make()).rejects.toMatchObject({ code: "ERR_KILN_OUTPUT_UNWRITABLE" });
  });

  it("stops with the signal's reason, and leaves nothing", async () => {
    writeFileSync(file, await bigTar(30_000_000));
    const stop = new AbortController();
    const reason = new Error("enough");
    const stopped = rootfsLayout(file, { cacheDir, platform, signal: stop.signal });
    // While it is copied: the layer has begun to grow.
    const grown = (): boolean => {
      const scratch = join(cacheDir, "rootfs", "new");
      const [name] = existsSync(scratch) ? readdirSync(scratch) : [];
      const layer = join(scratch, name ?? "", "layer");
      return (statSync(layer, { throwIfNoEntry: false })?.size ?? 0) > 0;
    };
    while (!grown()) await new Promise((resolve) => setImmediate(resolve));
    stop.abort(reason);
    await expect(stopped).rejects.toBe(reason);
    expect(readdirSync(join(cacheDir, "rootfs", "new"))).toEqual([]);
    await expect(rootfsLayout(file, { cacheDir, platform, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
  });
});
