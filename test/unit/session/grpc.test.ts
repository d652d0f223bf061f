import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MessageJoiner } from "../../../src/session/grpc/message-joiner.js";
import { MessageSplitter } from "../../../src/session/grpc/message-splitter.js";
import type { ServerCall } from "../../../src/session/grpc/server-call.js";
import { SessionServer } from "../../../src/session/grpc/session-server.js";
import { ServiceRefusal } from "../../../src/session/grpc/status.js";

const limit = 1024 * 1024;

describe("messages on the wire", () => {
  it("come back whole, however they were given and wherever the wire cuts them", () => {
    const message = fc.array(fc.uint8Array({ maxLength: 20_000 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 40 }),
        (messages, cuts) => {
          const joiner = new MessageJoiner();
          for (const parts of messages) joiner.add(parts);
          const wire = Buffer.concat(joiner.take());
          const splitter = new MessageSplitter(limit);
          const read: Buffer[] = [];
          for (let at = 0, cut = 0; at < wire.length; cut += 1) {
            const end = at + (cuts[cut % cuts.length] ?? 1);
            read.push(...splitter.push(wire.subarray(at, end)));
            at = end;
          }
          expect(splitter.inMessage).toBe(false);
          expect(read.map((bytes) => bytes.toString("hex"))).toEqual(
            messages.map((parts) => Buffer.concat(parts).toString("hex")),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  it("are few writes although they are many", () => {
    const joiner = new MessageJoiner();
    for (let index = 0; index < 10_000; index += 1) joiner.add([Buffer.from(`message ${index}`)]);
    expect(joiner.take().length).toBeLessThan(10);
    expect(joiner.bytes).toBe(0);
  });

  it("are not copied when they are large", () => {
    const large = Buffer.alloc(300_000, 7);
    const joiner = new MessageJoiner();
    joiner.add([Buffer.from("head"), large]);
    expect(joiner.take().some((piece) => piece.buffer === large.buffer)).toBe(true);
  });

  it("are refused above the limit and when they are compressed", () => {
    const splitter = new MessageSplitter(10);
    expect(() => splitter.push(Buffer.from([0, 0, 0, 0, 11]))).toThrow(/11 bytes/);
    expect(() => new MessageSplitter(10).push(Buffer.from([1, 0, 0, 0, 1, 0]))).toThrow(/compressed/);
  });
});

describe("a session's server", () => {
  let dir: string;
  let listener: Server;
  let server: SessionServer;
  let client: Client;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "kiln-grpc-"));
    server = new SessionServer(
      [
        {
          name: "test.Service",
          methods: [
            { name: "Echo", handle: echo },
            { name: "Keys", handle: keys },
            { name: "Refuse", handle: () => Promise.reject(new ServiceRefusal(5, "no ünïcode\n100 %")) },
            { name: "Early", handle: () => Promise.resolve() },
          ],
        },
      ],
      { messageLimit: limit },
    );
    listener = createServer((socket) => server.serve(socket));
    const path = join(dir, "s");
    await new Promise<void>((resolve) => listener.listen(path, resolve));
    client = new Client(`unix://${path}`, credentials.createInsecure());
  });

  afterEach(() => {
    client.close();
    server.shutdown();
    listener.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function echo(call: ServerCall): Promise<void> {
    for await (const message of call.messages()) await call.write(message);
  }

  async function keys(call: ServerCall): Promise<void> {
    await call.message();
    await call.write(Buffer.from(JSON.stringify(call.headers("include-patterns"))));
  }

  function talk(method: string, messages: readonly Buffer[], metadata = new Metadata()): Promise<Buffer[]> {
    return new Promise((resolve, reject) => {
      const raw = (bytes: Buffer): Buffer => bytes;
      const call = client.makeBidiStreamRequest(`/test.Service/${method}`, raw, raw, metadata);
      const answers: Buffer[] = [];
      call.on("data", (answer: Buffer) => answers.push(answer));
      call.on("error", reject);
      call.on("end", () => resolve(answers));
      for (const message of messages) call.write(message);
      call.end();
    });
  }

  it("answers every message in order: empty, small and large", async () => {
    const messages = Array.from({ length: 3000 }, (_, index) =>
      Buffer.alloc(index % 500 === 7 ? 200_000 : index % 50, index % 251),
    );
    const answers = await talk("Echo", messages);
    expect(answers.length).toBe(messages.length);
    expect(Buffer.concat(answers).equals(Buffer.concat(messages))).toBe(true);
  });

  it("serves many calls at once", async () => {
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, index) => talk("Echo", [Buffer.from(String(index))])),
    );
    expect(all.map((answers) => Buffer.concat(answers).toString())).toEqual(
      Array.from({ length: 100 }, (_, index) => String(index)),
    );
  });

  it("keeps repeated headers apart, commas and all, far beyond Node's own limit", async () => {
    const patterns = Array.from({ length: 2000 }, (_, index) => `a,b/${index}`);
    const metadata = new Metadata();
    for (const pattern of patterns) metadata.add("include-patterns", pattern);
    const [answer] = await talk("Keys", [Buffer.from("x")], metadata);
    expect(JSON.parse(String(answer))).toEqual(patterns);
  });

  it("hands refusals on as gRPC has them", async () => {
    await expect(talk("Refuse", [])).rejects.toMatchObject({ code: 5, details: "no ünïcode\n100 %" });
  });

  it("says what it does not serve", async () => {
    await expect(talk("Nothing", [])).rejects.toMatchObject({ code: 12 });
  });

  it("ends a call whose messages nobody wants", async () => {
    expect(await talk("Early", [Buffer.alloc(500_000), Buffer.alloc(500_000)])).toEqual([]);
    await expect(talk("Echo", [Buffer.alloc(limit + 1)])).rejects.toMatchObject({ code: 8 });
  });
});
