import { execFileSync } from "node:child_process";
import { appendFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  decodePacket,
  encodeEnd,
  encodeError,
  encodeFinish,
  encodeRequest,
  type Packet,
} from "../../../src/fsutil/packet.js";
import type { PacketChannel } from "../../../src/fsutil/packet-channel.js";
import { sendTree } from "../../../src/fsutil/send.js";
import { openTree } from "../../../src/fsutil/tree.js";
import { type DrivenChannel, drivenChannel } from "./channel-pair.js";
import { temporaryDirectory, temporaryTree } from "./temporary-tree.js";

const CHUNK = 256 * 1024;

/** Waits until the code under test has written a packet that fits, and returns all of its packets. */
async function until(driven: DrivenChannel, fits: (packet: Packet) => boolean): Promise<readonly Packet[]> {
  for (let checked = 0; ; ) {
    const found = driven.written.slice(checked).map(decodePacket).some(fits);
    if (found) return driven.written.map(decodePacket);
    checked = driven.written.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const isEnd = (packet: Packet): boolean => packet.kind === "end";
const ends = (id: number) => (packet: Packet) =>
  packet.kind === "data" && packet.id === id && packet.data.length === 0;

function start(root: string, options: Parameters<typeof sendTree>[2] = {}) {
  const driven = drivenChannel();
  const result = sendTree(driven.channel, openTree({ root, xattrs: "off" }), options);
  result.catch(() => {});
  return { driven, result };
}

function contentOf(packets: readonly Packet[], id: number): Buffer {
  return Buffer.concat(
    packets.flatMap((packet) => (packet.kind === "data" && packet.id === id ? [packet.data] : [])),
  );
}

describe("a transfer that goes well", () => {
  test("lists everything, then sends what is asked for, then answers the end", async () => {
    const { driven, result } = start(temporaryTree({ "d/a": "first", "d/b": "", z: "last" }));
    const listed = await until(driven, isEnd);
    expect(listed.map((packet) => (packet.kind === "stat" ? packet.stat.path : packet.kind))).toEqual([
      "d",
      "d/a",
      "d/b",
      "z",
      "end",
    ]);
    driven.send(encodeRequest(3), encodeRequest(2));
    await until(driven, ends(3));
    const sent = await until(driven, ends(2));
    expect(contentOf(sent, 3).toString()).toBe("last");
    expect(contentOf(sent, 2)).toHaveLength(0);
    driven.send(encodeFinish());
    expect(await result).toEqual({ entries: 4, files: 2, bytes: 4 });
    expect(driven.written.map(decodePacket).at(-1)).toEqual({ kind: "finish" });
  });

  test("may ask for content before the listing is over", async () => {
    const entries = Object.fromEntries(Array.from({ length: 1500 }, (_, index) => [`f${index}`, ""]));
    const { driven, result } = start(temporaryTree({ a: "early", ...entries }));
    await until(driven, (packet) => packet.kind === "stat");
    driven.send(encodeRequest(0));
    const packets = await until(driven, ends(0));
    expect(contentOf(packets, 0).toString()).toBe("early");
    await until(driven, isEnd);
    driven.send(encodeFinish());
    await result;
    const order = driven.written.map(decodePacket).map((packet) => packet.kind);
    expect(order.indexOf("data")).toBeLessThan(order.indexOf("end"));
  });

  test.each([CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 700_001])(
    "sends %i bytes in chunks of at most 256 KiB",
    async (size) => {
      const content = Buffer.alloc(size, "0123456789abcdef-");
      const { driven, result } = start(temporaryTree({ f: { file: content } }));
      await until(driven, isEnd);
      driven.send(encodeRequest(0));
      const packets = await until(driven, ends(0));
      expect(contentOf(packets, 0).equals(content)).toBe(true);
      const sizes = packets.flatMap((packet) => (packet.kind === "data" ? [packet.data.length] : []));
      expect(Math.max(...sizes)).toBeLessThanOrEqual(CHUNK);
      expect(sizes).toHaveLength(Math.ceil(size / CHUNK) + 1);
      driven.send(encodeFinish());
      await result;
    },
  );

  test("has at most four files under way", async () => {
    const content = Buffer.alloc(3 * CHUNK, "x");
    const entries = Object.fromEntries(
      Array.from({ length: 9 }, (_, index) => [`f${index}`, { file: content }]),
    );
    const { driven, result } = start(temporaryTree(entries));
    await until(driven, isEnd);
    for (let id = 0; id < 9; id += 1) driven.send(encodeRequest(id));
    for (let id = 0; id < 9; id += 1) await until(driven, ends(id));
    driven.send(encodeFinish());
    await result;
    const open = new Set<number>();
    let most = 0;
    for (const packet of driven.written.map(decodePacket)) {
      if (packet.kind !== "data") continue;
      if (packet.data.length > 0) open.add(packet.id);
      else open.delete(packet.id);
      most = Math.max(most, open.size);
    }
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
  });

  test("gives a further hard link's content when it is asked for", async () => {
    const { driven, result } = start(temporaryTree({ a: "same", b: { link: "a" } }));
    await until(driven, isEnd);
    driven.send(encodeRequest(1));
    expect(contentOf(await until(driven, ends(1)), 1).toString()).toBe("same");
    driven.send(encodeFinish());
    await result;
  });

  test("sends a socket as an empty file", async () => {
    const root = temporaryDirectory();
    const server = createServer().listen(join(root, "s"));
    await new Promise((resolve) => server.once("listening", resolve));
    const { driven, result } = start(root);
    await until(driven, isEnd);
    driven.send(encodeRequest(0));
    expect(contentOf(await until(driven, ends(0)), 0)).toHaveLength(0);
    driven.send(encodeFinish());
    await result;
    await new Promise((resolve) => server.close(resolve));
  });

  test("reports how far it is", async () => {
    const seen: unknown[] = [];
    const { driven, result } = start(temporaryTree({ a: "12345" }), {
      onProgress: (progress) => seen.push(progress),
    });
    await until(driven, isEnd);
    driven.send(encodeRequest(0));
    await until(driven, ends(0));
    driven.send(encodeFinish());
    await result;
    expect(seen).toEqual([
      { entries: 1, files: 0, bytes: 0 },
      { entries: 1, files: 0, bytes: 5 },
      { entries: 1, files: 1, bytes: 5 },
    ]);
  });

  test("waits when the transport asks to", async () => {
    const root = temporaryTree({ a: "1", b: "2", c: "3" });
    let release: (() => void) | undefined;
    let writes = 0;
    const driven = drivenChannel();
    const channel: PacketChannel = {
      incoming: driven.channel.incoming,
      write: (packet) => {
        writes += 1;
        void driven.channel.write(packet);
        return new Promise<void>((resolve) => {
          release = resolve;
        });
      },
    };
    const result = sendTree(channel, openTree({ root, xattrs: "off" }));
    for (let expected = 1; expected <= 4; expected += 1) {
      while (writes < expected) await new Promise((resolve) => setImmediate(resolve));
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      expect(writes).toBe(expected);
      release?.();
    }
    driven.send(encodeFinish());
    while (writes < 5) await new Promise((resolve) => setImmediate(resolve));
    release?.();
    expect(await result).toMatchObject({ entries: 3 });
  });
});

describe("a receiver that breaks the rules", () => {
  const wrong: readonly (readonly [title: string, packets: readonly Uint8Array[], text: string])[] = [
    ["asks for an id that was never listed", [encodeRequest(99)], "never listed"],
    ["asks for a directory", [encodeRequest(0)], "no file"],
    ["asks for a symlink", [encodeRequest(2)], "no file"],
    ["asks twice", [encodeRequest(1), encodeRequest(1)], "asked for before"],
    ["sends an entry", [encodeEnd()], '"end"'],
    ["is done while it is owed content", [encodeRequest(1), encodeFinish()], "before it had everything"],
    ["sends what is no packet", [Uint8Array.of(0xff)], "cannot be decoded"],
  ];
  test.each(wrong)("%s", async (_title, packets, text) => {
    const { driven, result } = start(
      temporaryTree({ "d/f": { file: Buffer.alloc(4 * CHUNK) }, l: { symlink: "d" } }),
    );
    await until(driven, isEnd);
    driven.send(...packets);
    await expect(result).rejects.toMatchObject({
      code: "ERR_KILN_PROTOCOL",
      message: expect.stringContaining(text),
    });
    expect(driven.written.map(decodePacket).at(-1)).toMatchObject({
      kind: "error",
      message: expect.stringContaining(text),
    });
  });

  test("goes away", async () => {
    const { driven, result } = start(temporaryTree({ f: "" }));
    await until(driven, isEnd);
    driven.end();
    await expect(result).rejects.toMatchObject({ code: "ERR_KILN_TRUNCATED" });
    expect(driven.written.map(decodePacket).at(-1)).toEqual({ kind: "end" });
  });

  test("gives up, and its words come through", async () => {
    const { driven, result } = start(temporaryTree({ f: "" }));
    driven.send(encodeError("no space left on device"));
    await expect(result).rejects.toMatchObject({
      code: "ERR_KILN_RPC",
      message: expect.stringContaining("no space left on device"),
    });
    expect(driven.written.map(decodePacket).filter((packet) => packet.kind === "error")).toEqual([]);
  });
});

describe("a file that changes between listing and reading", () => {
  const changes: readonly (readonly [how: string, change: (file: string) => void, text: string])[] = [
    ["is gone", (file) => rmSync(file), "it is gone"],
    ["has grown", (file) => appendFileSync(file, "more"), "its size went from 7 to 11 bytes"],
    ["was cut", (file) => truncateSync(file, 3), "its size went from 7 to 3 bytes"],
    [
      "became a symlink",
      (file) => replace(file, () => symlinkSync("/etc/passwd", file)),
      "it has become a symlink",
    ],
    ["became a pipe", (file) => replace(file, () => execFileSync("mkfifo", [file])), "no regular file"],
  ];
  test.each(changes)("and %s", async (_how, change, text) => {
    const root = temporaryTree({ f: "content" });
    const { driven, result } = start(root);
    await until(driven, isEnd);
    change(join(root, "f"));
    driven.send(encodeRequest(0));
    await expect(result).rejects.toMatchObject({
      code: "ERR_KILN_FILE_CHANGED",
      message: expect.stringContaining(text),
      hint: expect.any(String),
    });
    expect(driven.written.map(decodePacket).at(-1)).toMatchObject({ kind: "error" });
    expect(driven.written.map(decodePacket).some((packet) => packet.kind === "data")).toBe(false);
  });

  function replace(file: string, make: () => void): void {
    rmSync(file);
    make();
  }

  test("grows while a large one is read", async () => {
    const root = temporaryTree({ f: { file: Buffer.alloc(3 * CHUNK) } });
    let grown = false;
    const { driven, result } = start(root, {
      onProgress: ({ bytes }) => {
        if (bytes > 0 && !grown) writeFileSync(join(root, "f"), Buffer.alloc(4 * CHUNK));
        grown ||= bytes > 0;
      },
    });
    await until(driven, isEnd);
    driven.send(encodeRequest(0));
    await expect(result).rejects.toMatchObject({ code: "ERR_KILN_FILE_CHANGED" });
  });
});

describe("an aborted transfer", () => {
  test("rejects with the signal's reason and tells the receiver", async () => {
    const controller = new AbortController();
    const { driven, result } = start(temporaryTree({ f: "" }), { signal: controller.signal });
    await until(driven, isEnd);
    const reason = new Error("secret reason");
    controller.abort(reason);
    await expect(result).rejects.toBe(reason);
    expect(driven.written.map(decodePacket).at(-1)).toEqual({
      kind: "error",
      message: "the transfer was cancelled",
    });
  });

  test("does not begin when the signal is aborted already", async () => {
    const reason = new Error("early");
    const { driven, result } = start(temporaryTree({ f: "" }), { signal: AbortSignal.abort(reason) });
    await expect(result).rejects.toBe(reason);
    expect(driven.written.map(decodePacket).some((packet) => packet.kind === "stat")).toBe(false);
  });

  test("ends a write that the transport never finishes", async () => {
    const controller = new AbortController();
    const driven = drivenChannel();
    const channel: PacketChannel = { incoming: driven.channel.incoming, write: () => new Promise(() => {}) };
    const result = sendTree(channel, openTree({ root: temporaryTree({ f: "" }) }), {
      signal: controller.signal,
    });
    setImmediate(() => controller.abort(new Error("stuck")));
    await expect(result).rejects.toThrow("stuck");
  });
});

test("a tree that cannot be walked is an error on both sides", async () => {
  const root = temporaryTree({ f: "" });
  const driven = drivenChannel();
  const tree = openTree({
    root,
    map: () => {
      throw new Error("a bug with a secret in it");
    },
  });
  await expect(sendTree(driven.channel, tree)).rejects.toThrow("a bug");
  expect(driven.written.map(decodePacket)).toEqual([
    { kind: "error", message: "the transfer was cancelled" },
  ]);
});
