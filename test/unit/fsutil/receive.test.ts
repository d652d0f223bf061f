import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FileStat } from "../../../src/fsutil/file-stat.js";
import {
  decodePacket,
  encodeEnd,
  encodeError,
  encodeFinish,
  type Packet,
} from "../../../src/fsutil/packet.js";
import { PacketWriter } from "../../../src/fsutil/packet-writer.js";
import { type ReceiveTreeOptions, receiveTree } from "../../../src/fsutil/receive.js";
import { type DrivenChannel, drivenChannel } from "./channel-pair.js";
import { temporaryDirectory, temporaryTree } from "./temporary-tree.js";

const DIRECTORY = 0x80000000;
const SYMLINK = 0x08000000;
const writer = new PacketWriter();

function stat(path: string, mode = 0o644, more: Partial<FileStat> = {}): Uint8Array {
  const plain = {
    uid: 0,
    gid: 0,
    size: 0,
    modTime: 0n,
    linkname: "",
    devmajor: 0,
    devminor: 0,
    xattrs: undefined,
  };
  return writer.stat({ path, mode, ...plain, ...more });
}

const data = (id: number, text = ""): Uint8Array => {
  const content = Buffer.from(text);
  return Buffer.concat([writer.dataHeader(id, content.length), content]);
};

function start(target: string, options: ReceiveTreeOptions = {}) {
  const driven = drivenChannel();
  const result = receiveTree(driven.channel, target, options);
  result.catch(() => {});
  return { driven, result };
}

async function until(
  driven: DrivenChannel,
  fits: (packets: readonly Packet[]) => boolean,
): Promise<readonly Packet[]> {
  for (;;) {
    const packets = driven.written.map(decodePacket);
    if (fits(packets)) return packets;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const requests = (packets: readonly Packet[]): readonly number[] =>
  packets.flatMap((packet) => (packet.kind === "request" ? [packet.id] : []));

describe("what is written", () => {
  test("has the listed modes and times, directories last of all", async () => {
    const target = temporaryDirectory();
    const { driven, result } = start(target);
    driven.send(
      stat("d", DIRECTORY + 0o555, { modTime: 1_000_000_001_000_000n }),
      stat("d/e", DIRECTORY + 0x00100000 + 0o700, { modTime: 5n * 10n ** 18n }),
      stat("d/e/f", 0x00800000 + 0o755, { size: 2, modTime: 1_700_000_000_000_000_000n }),
      stat("d/l", SYMLINK + 0o777, { linkname: "e/f", modTime: 1_600_000_000_000_000_000n }),
      encodeEnd(),
      data(2, "ok"),
      data(2),
      encodeFinish(),
    );
    expect(await result).toMatchObject({ entries: 4, files: 1, bytes: 2, skipped: [], entriesWithXattrs: 0 });
    const at = (path: string) => lstatSync(join(target, path), { bigint: true });
    expect([at("d").mode & 0o7777n, at("d").mtimeNs]).toEqual([0o555n, 1_000_000_001_000_000n]);
    expect([at("d/e").mode & 0o7777n, at("d/e").mtimeNs]).toEqual([0o1700n, 5n * 10n ** 18n]);
    expect([at("d/e/f").mode & 0o7777n, at("d/e/f").mtimeNs]).toEqual([0o4755n, 1_700_000_000_000_000_000n]);
    expect(at("d/l").mtimeNs).toBe(1_600_000_000_000_000_000n);
    expect(at("d/e/f").uid).toBe(BigInt(process.getuid?.() ?? 0));
    chmodSync(join(target, "d"), 0o755);
  });

  test("leaves what was there and is not listed", async () => {
    const target = temporaryTree({ "d/kept": "kept", "d/old": "old", other: "kept" });
    const { driven, result } = start(target);
    driven.send(stat("d", DIRECTORY + 0o755), stat("d/old", 0o600, { size: 3 }), encodeEnd());
    driven.send(data(1, "new"), data(1), encodeFinish());
    await result;
    expect(readFileSync(join(target, "d/old"), "utf8")).toBe("new");
    expect(readdirSync(target, { recursive: true }).sort()).toEqual(["d", "d/kept", "d/old", "other"]);
  });

  test("hard links to files whose content comes after them", async () => {
    const target = temporaryDirectory();
    const { driven, result } = start(target);
    driven.send(stat("a", 0o644, { size: 1 }), stat("b", 0o644, { linkname: "a" }), encodeEnd());
    await until(driven, (packets) => requests(packets).length > 0);
    expect(readdirSync(target)).toEqual([]);
    driven.send(data(0, "x"), data(0), encodeFinish());
    await result;
    expect(lstatSync(join(target, "b")).ino).toBe(lstatSync(join(target, "a")).ino);
  });

  test("is reported where it could not be: devices, pipes and extended attributes", async () => {
    const { driven, result } = start(temporaryDirectory());
    driven.send(
      stat("block", 0x04000000 + 0o600, { devmajor: 8 }),
      stat("char", 0x04200000 + 0o600, { devmajor: 1, devminor: 3 }),
      stat("link", 0x04200000 + 0o600, { linkname: "char" }),
      stat("pipe", 0x02000000 + 0o600),
      stat("x", 0o644, { xattrs: new Map([["user.a", Buffer.from("b")]]) }),
      encodeEnd(),
      encodeFinish(),
    );
    const received = await result;
    expect(received.skipped.map(({ path }) => path)).toEqual(["block", "char", "link", "pipe"]);
    expect(received).toMatchObject({ skippedCount: 4, entriesWithXattrs: 1, files: 1 });
  });
});

describe("what is asked for", () => {
  test("is every file with content and nothing else", async () => {
    const { driven, result } = start(temporaryDirectory());
    driven.send(
      stat("a", DIRECTORY + 0o755),
      stat("a/empty"),
      stat("a/full", 0o644, { size: 1 }),
      stat("a/link", 0o644, { linkname: "a/full" }),
      stat("a/sym", SYMLINK + 0o777, { linkname: "x" }),
      encodeEnd(),
    );
    expect(requests(await until(driven, (packets) => requests(packets).length > 0))).toEqual([2]);
    driven.send(data(2, "1"), data(2), encodeFinish());
    await result;
  });

  test("is never more than 128 files at once", async () => {
    const target = temporaryDirectory();
    const { driven, result } = start(target);
    const names = Array.from({ length: 300 }, (_, index) => `f${String(index).padStart(3, "0")}`);
    driven.send(...names.map((name) => stat(name, 0o644, { size: 1 })), encodeEnd());
    await until(driven, (packets) => requests(packets).length === 128);
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(driven.written).toHaveLength(128);
    // All at once and in pieces, the other way round: every file is open at the same time.
    for (let id = 127; id >= 0; id -= 1) driven.send(data(id, "x"));
    for (let id = 0; id < 128; id += 1) driven.send(data(id));
    await until(driven, (packets) => requests(packets).length === 256);
    for (let id = 128; id < 300; id += 1) {
      await until(driven, (packets) => requests(packets).includes(id));
      driven.send(data(id, "y"), data(id));
    }
    driven.send(encodeFinish());
    expect(await result).toMatchObject({ files: 300, bytes: 300 });
    expect(readdirSync(target)).toEqual(names);
  });
});

describe("the end", () => {
  test("comes only after the sender has answered it", async () => {
    const { driven, result } = start(temporaryDirectory());
    driven.send(encodeEnd());
    await until(driven, (packets) => packets.some((packet) => packet.kind === "finish"));
    let settled = false;
    void result.then(() => {
      settled = true;
    });
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(settled).toBe(false);
    driven.send(encodeFinish());
    expect(await result).toMatchObject({ entries: 0 });
  });

  test("is an error when the stream just stops", async () => {
    const { driven, result } = start(temporaryDirectory());
    driven.send(encodeEnd());
    driven.end();
    await expect(result).rejects.toMatchObject({ code: "ERR_KILN_TRUNCATED" });
  });

  test("is an error when the sender says so", async () => {
    const target = temporaryDirectory();
    const { driven, result } = start(target);
    driven.send(stat("f", 0o644, { size: 9 }), data(0, "half"), encodeError("disk on fire"));
    await expect(result).rejects.toMatchObject({
      code: "ERR_KILN_RPC",
      message: expect.stringContaining("disk on fire"),
    });
    expect(readdirSync(target)).toEqual([]);
    expect(driven.written.map(decodePacket).filter((packet) => packet.kind === "error")).toEqual([]);
  });

  test("is the signal's when it is aborted, and nothing unfinished stays", async () => {
    const target = temporaryDirectory();
    const controller = new AbortController();
    const { driven, result } = start(target, { signal: controller.signal });
    driven.send(stat("a"), stat("f", 0o644, { size: 9 }));
    await until(driven, (packets) => requests(packets).length > 0);
    driven.send(data(1, "half"));
    while (readdirSync(target).length < 2) await new Promise((resolve) => setImmediate(resolve));
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(result).rejects.toBe(reason);
    expect(readdirSync(target)).toEqual(["a"]);
  });
});

describe("a hostile stream", () => {
  const link = { linkname: "../outside" };
  const cases: readonly (readonly [title: string, packets: readonly Uint8Array[], code: string])[] = [
    [
      "an entry through a symlink of the same stream",
      [stat("l", SYMLINK + 0o777, link), stat("l/f", 0o644)],
      "ERR_KILN_PROTOCOL",
    ],
    [
      "a path that comes twice as different kinds",
      [stat("a", DIRECTORY + 0o755), stat("a")],
      "ERR_KILN_PROTOCOL",
    ],
    [
      "a directory listed again",
      [stat("a", DIRECTORY + 0o755), stat("a", DIRECTORY + 0o755)],
      "ERR_KILN_PROTOCOL",
    ],
    ["an order by UTF-16", [stat("\u{1f600}"), stat("\uffee")], "ERR_KILN_PROTOCOL"],
    [
      "a parent left and entered again",
      [stat("a", DIRECTORY + 0o755), stat("b"), stat("a/x")],
      "ERR_KILN_PROTOCOL",
    ],
    [
      "a hard link to a symlink",
      [stat("a", SYMLINK + 0o777, link), stat("b", 0o644, { linkname: "a" })],
      "ERR_KILN_PROTOCOL",
    ],
    [
      "a hard link to a directory",
      [stat("a", DIRECTORY + 0o755), stat("b", 0o644, { linkname: "a" })],
      "ERR_KILN_PROTOCOL",
    ],
    ["a hard link to itself", [stat("a", 0o644, { linkname: "a" })], "ERR_KILN_PROTOCOL"],
    [
      "a hard link to a skipped device",
      [stat("a", 0x04000000), stat("b", 0o644, { linkname: "a" })],
      "ERR_KILN_PROTOCOL",
    ],
    ["a mode of two kinds", [stat("a", DIRECTORY + SYMLINK)], "ERR_KILN_PROTOCOL"],
    ["a symlink to nothing", [stat("a", SYMLINK + 0o777)], "ERR_KILN_UNSAFE_PATH"],
    [
      "a second end of the listing",
      [stat("a", 0o644, { size: 1 }), encodeEnd(), encodeEnd()],
      "ERR_KILN_PROTOCOL",
    ],
    ["an early finish", [stat("a", 0o644, { size: 1 }), encodeFinish()], "ERR_KILN_PROTOCOL"],
    ["content before it was asked for", [data(0, "x")], "ERR_KILN_PROTOCOL"],
    [
      "content of a hard link",
      [stat("a", 0o644, { size: 1 }), stat("b", 0o644, { linkname: "a" }), data(1, "x")],
      "ERR_KILN_PROTOCOL",
    ],
    [
      "an empty file where content was listed",
      [stat("a", 0o644, { size: 1 }), data(0)],
      "ERR_KILN_TRUNCATED",
    ],
    ["packets after the finish", [encodeEnd(), data(0, "x")], "ERR_KILN_PROTOCOL"],
    [
      "a total beyond the limit in many small steps",
      Array.from({ length: 1100 }, (_, index) => stat(`f${1000 + index}`, 0o644, { size: 2 ** 30 })),
      "ERR_KILN_LIMIT_EXCEEDED",
    ],
  ];
  test.each(cases)("with %s is refused", async (_title, packets, code) => {
    const base = temporaryTree({ "outside/f": "untouched", target: { dir: true } });
    const { driven, result } = start(join(base, "target"));
    driven.send(...packets);
    driven.end();
    await expect(result).rejects.toMatchObject({ code });
    expect(readdirSync(base).sort()).toEqual(["outside", "target"]);
    expect(readdirSync(join(base, "outside"))).toEqual(["f"]);
    expect(readdirSync(join(base, "target")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("writes nothing through a symlink that the target had", async () => {
    const base = temporaryTree({ "outside/f": "untouched", target: { dir: true } });
    const target = join(base, "target");
    symlinkSync("../outside", join(target, "d"));
    const { driven, result } = start(target);
    driven.send(stat("d", DIRECTORY + 0o700), stat("d/f", 0o644, { size: 3 }), encodeEnd());
    driven.send(data(1, "new"), data(1), encodeFinish());
    await result;
    expect(readFileSync(join(base, "outside/f"), "utf8")).toBe("untouched");
    expect(readFileSync(join(target, "d/f"), "utf8")).toBe("new");
    expect(lstatSync(join(target, "d")).isDirectory()).toBe(true);
  });

  test("of two into one target cannot make each other's symlinks into ways out", async () => {
    const base = temporaryTree({ "outside/f": "untouched", target: { dir: true } });
    const target = join(base, "target");
    const first = start(target);
    first.driven.send(stat("d", DIRECTORY + 0o755), stat("d/f", 0o644, { size: 3 }), encodeEnd());
    await until(first.driven, (packets) => requests(packets).length > 0);
    const second = start(target);
    second.driven.send(stat("d", SYMLINK + 0o777, { linkname: "../outside" }), encodeEnd(), encodeFinish());
    await second.result.catch(() => {});
    first.driven.send(data(1, "new"), data(1), encodeFinish());
    await first.result.catch(() => {});
    expect(readFileSync(join(base, "outside/f"), "utf8")).toBe("untouched");
    expect(readdirSync(join(base, "outside"))).toEqual(["f"]);
  });

  test("is not given a directory that cannot be one", async () => {
    const base = temporaryTree({ f: "" });
    const { driven, result } = start(join(base, "f"));
    await expect(result).rejects.toMatchObject({ code: "ERR_KILN_OUTPUT_UNWRITABLE" });
    expect(driven.written.map(decodePacket)).toMatchObject([{ kind: "error" }]);
  });
});

test("no descriptor stays open, however a transfer ends", async () => {
  if (!existsSync("/proc/self/fd")) return;
  const open = (): number => readdirSync("/proc/self/fd").length;
  const target = temporaryDirectory();
  const before = open();
  const good = start(target);
  good.driven.send(stat("a", DIRECTORY + 0o755), stat("a/f", 0o644, { size: 1 }), encodeEnd());
  good.driven.send(data(1, "x"), data(1), encodeFinish());
  await good.result;
  const bad = start(target);
  bad.driven.send(
    stat("b", 0o644, { size: 2 }),
    stat("c", 0o644, { size: 2 }),
    data(0, "x"),
    data(1, "x"),
    data(9, "x"),
  );
  await bad.result.catch(() => {});
  expect(open()).toBe(before);
});
