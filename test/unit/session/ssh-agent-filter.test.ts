import { Duplex, PassThrough, type Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { filterAgent } from "../../../src/session/ssh-agent-filter.js";

function message(...content: number[]): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, Buffer.from(content)]);
}

/** An agent that answers every message with its kind and a two. */
function fakeAgent(): { readonly stream: Duplex; readonly seen: number[] } {
  const seen: number[] = [];
  const out = new PassThrough();
  let rest = Buffer.alloc(0);
  const stream = Duplex.from({
    readable: out,
    writable: new (class extends PassThrough {
      override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
        rest = Buffer.concat([rest, chunk]);
        while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
          const kind = rest[4] ?? 0;
          rest = rest.subarray(4 + rest.readUInt32BE(0));
          seen.push(kind);
          out.write(message(kind, 2));
        }
        done();
      }
    })(),
  });
  return { stream, seen };
}

async function run(chunks: readonly Buffer[]): Promise<{ answers: Buffer; seen: readonly number[] }> {
  const asks = new PassThrough();
  const answers = new PassThrough();
  const agent = fakeAgent();
  const done = filterAgent(asks, answers, agent.stream).finally(() => answers.end());
  for (const chunk of chunks) asks.write(chunk);
  asks.end();
  const parts: Buffer[] = [];
  for await (const part of answers as Readable) parts.push(part as Buffer);
  await done;
  return { answers: Buffer.concat(parts), seen: agent.seen };
}

describe("the ssh agent's filter", () => {
  it("lets steps list keys and sign, and refuses everything else in order", async () => {
    // List, sign, add, remove one, remove all, lock, unlock, constrained add, smartcards, extension, list.
    const kinds = [11, 13, 17, 18, 19, 22, 23, 25, 20, 21, 26, 27, 1, 0, 255, 11];
    const { answers, seen } = await run(kinds.map((kind) => message(kind, 9)));
    expect(seen).toEqual([11, 13, 11]);
    expect(answers).toEqual(
      Buffer.concat(kinds.map((kind) => (kind === 11 || kind === 13 ? message(kind, 2) : message(5)))),
    );
  });

  it("finds messages in pieces of any size", async () => {
    const all = Buffer.concat([message(11), message(17, 1, 2, 3), message(13, 4)]);
    const { answers, seen } = await run([...all].map((byte) => Buffer.from([byte])));
    expect(seen).toEqual([11, 13]);
    expect(answers).toEqual(Buffer.concat([message(11, 2), message(5), message(13, 2)]));
  });

  it("gives up on messages that are none", async () => {
    await expect(run([Buffer.from([0xff, 0xff, 0xff, 0xff, 11])])).rejects.toThrow(/bytes/);
    await expect(run([Buffer.from([0, 0, 0, 0])])).rejects.toThrow(/0 bytes/);
    await expect(run([message(11, 1, 2).subarray(0, 5)])).rejects.toThrow(/middle/);
  });
});
