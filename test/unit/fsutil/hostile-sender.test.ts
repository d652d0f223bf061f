import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { receiveTree } from "../../../src/fsutil/receive.js";
import { type Packet_PacketType, PacketSchema } from "../../../src/gen/fsutil/types/wire_pb.js";
import { drivenChannel } from "./channel-pair.js";

const STAT = 0 as Packet_PacketType;
const DATA = 2 as Packet_PacketType;
const FIN = 3 as Packet_PacketType;
const DIRECTORY = 0x80000000;
const SYMLINK = 0x08000000;

let base: string;
let target: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "kiln-hostile-"));
  target = join(base, "target");
  mkdirSync(target);
  writeFileSync(join(base, "outside"), "untouched");
});

afterEach(() => {
  rmSync(base, { recursive: true, force: true });
});

interface Entry {
  readonly path: string;
  readonly mode?: number;
  readonly size?: number;
  readonly linkname?: string;
}

function stat(entry: Entry): Uint8Array {
  const { path, mode = 0o644, size = 0, linkname = "" } = entry;
  return toBinary(
    PacketSchema,
    create(PacketSchema, { type: STAT, stat: { path, mode: mode >>> 0, size: BigInt(size), linkname } }),
  );
}

const endOfList = toBinary(PacketSchema, create(PacketSchema, { type: STAT }));
const finish = toBinary(PacketSchema, create(PacketSchema, { type: FIN }));

function data(ID: number, text: string): Uint8Array {
  return toBinary(
    PacketSchema,
    create(PacketSchema, { type: DATA, ID, data: new TextEncoder().encode(text) }),
  );
}

async function receive(packets: readonly Uint8Array[], options: Parameters<typeof receiveTree>[2] = {}) {
  const driven = drivenChannel();
  driven.send(...packets);
  driven.end();
  return receiveTree(driven.channel, target, options);
}

function untouched(): void {
  expect(readFileSync(join(base, "outside"), "utf8")).toBe("untouched");
  expect(readdirSync(base).sort()).toEqual(["outside", "target"]);
}

describe("a daemon's listing that would leave the target", () => {
  it.each([
    ["a parent path", [{ path: "../evil" }]],
    ["a parent path inside", [{ path: "a", mode: DIRECTORY | 0o755 }, { path: "a/../../evil" }]],
    ["an absolute path", [{ path: "/tmp/evil" }]],
    ["an empty path", [{ path: "" }]],
    ["the target itself", [{ path: "." }]],
    ["a path with an empty part", [{ path: "a", mode: DIRECTORY | 0o755 }, { path: "a//b" }]],
    ["a path with NUL", [{ path: "a\0b" }]],
    ["an over-long name", [{ path: "x".repeat(300) }]],
    ["an over-long path", [{ path: "x/".repeat(3000) }]],
    ["a path below a file", [{ path: "a" }, { path: "a/b" }]],
    ["a path below nothing", [{ path: "a/b" }]],
    ["a duplicate path", [{ path: "a" }, { path: "a" }]],
    ["paths out of order", [{ path: "b" }, { path: "a" }]],
    [
      "a file below a symlink of the same listing",
      [{ path: "s", mode: SYMLINK | 0o777, linkname: ".." }, { path: "s/evil" }],
    ],
    ["a hard link to a path outside", [{ path: "h", linkname: "../outside" }]],
    ["a hard link to an absolute path", [{ path: "h", linkname: "/etc/passwd" }]],
    ["a hard link to nothing", [{ path: "h", linkname: "a" }]],
  ] satisfies readonly (readonly [string, readonly Entry[]])[])("%s is refused", async (_title, entries) => {
    await expect(receive([...entries.map(stat), endOfList, finish])).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_KILN_(UNSAFE_PATH|PROTOCOL|LIMIT_EXCEEDED)$/),
    });
    untouched();
    expect(existsSync(join(base, "evil"))).toBe(false);
  });

  it("replaces a symlink that stands in the target instead of writing through it", async () => {
    symlinkSync("../outside", join(target, "file"));
    symlinkSync("..", join(target, "dir"));
    await receive([
      stat({ path: "dir", mode: DIRECTORY | 0o755 }),
      stat({ path: "dir/outside" }),
      stat({ path: "file" }),
      endOfList,
      finish,
    ]).catch(() => undefined);
    untouched();
    if (existsSync(join(target, "file")))
      expect(lstatSync(join(target, "file")).isSymbolicLink()).toBe(false);
  });
});

describe("a daemon's content that was not asked for", () => {
  it.each([
    ["of an unknown id", [stat({ path: "a", size: 3 }), endOfList, data(7, "xyz")]],
    ["of a directory", [stat({ path: "a", mode: DIRECTORY | 0o755 }), endOfList, data(0, "xyz")]],
    ["of an empty file", [stat({ path: "a" }), endOfList, data(0, "xyz")]],
    ["beyond the listed size", [stat({ path: "a", size: 3 }), endOfList, data(0, "wxyz")]],
    [
      "after its end",
      [
        stat({ path: "a", size: 3 }),
        stat({ path: "b", size: 1 }),
        endOfList,
        data(0, "xyz"),
        data(0, ""),
        data(0, "more"),
      ],
    ],
    ["more entries after the end of the listing", [endOfList, stat({ path: "a" })]],
  ])("%s is an error that leaves no half file", async (_title, packets) => {
    await expect(receive([...packets, finish])).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_KILN_(PROTOCOL|TRUNCATED)$/),
    });
    untouched();
    expect(readdirSync(target).filter((name) => name !== "a" && name !== "b")).toEqual([]);
  });

  it("a stream that breaks off in a file leaves nothing under its name", async () => {
    await expect(receive([stat({ path: "a", size: 10 }), endOfList, data(0, "half")])).rejects.toMatchObject({
      code: "ERR_KILN_TRUNCATED",
    });
    expect(readdirSync(target)).toEqual([]);
  });

  it("a file shorter than listed is refused and not left", async () => {
    await expect(
      receive([stat({ path: "a", size: 10 }), endOfList, data(0, "half"), data(0, "")]),
    ).rejects.toMatchObject({
      code: "ERR_KILN_TRUNCATED",
    });
    expect(readdirSync(target)).toEqual([]);
  });

  it("bytes that are no packet are refused", async () => {
    await expect(receive([new Uint8Array([255, 255, 255])])).rejects.toMatchObject({
      code: "ERR_KILN_PROTOCOL",
    });
  });

  it("more entries or bytes than the limits allow are refused before they are written", async () => {
    const many = Array.from({ length: 20 }, (_, index) =>
      stat({ path: `f${String(index).padStart(2, "0")}` }),
    );
    await expect(receive([...many, endOfList, finish], { limits: { maxEntries: 10 } })).rejects.toMatchObject(
      {
        code: "ERR_KILN_LIMIT_EXCEEDED",
      },
    );
    await expect(
      receive([stat({ path: "zz", size: 1e9 })], { limits: { maxBytes: 1000 } }),
    ).rejects.toMatchObject({
      code: "ERR_KILN_LIMIT_EXCEEDED",
    });
  });

  it("tells the daemon why it gives up", async () => {
    const driven = drivenChannel();
    driven.send(stat({ path: "../evil" }));
    await expect(receiveTree(driven.channel, target)).rejects.toThrow();
    const last = fromBinary(PacketSchema, driven.written.at(-1) ?? new Uint8Array());
    expect(last.type).toBe(4);
    expect(new TextDecoder().decode(last.data)).toContain("../evil");
  });
});
