import type { Readable, Writable } from "node:stream";

/** Numbers of draft-miller-ssh-agent, section 5.1. */
export const agentMessage = {
  failure: 5,
  requestIdentities: 11,
  identitiesAnswer: 12,
  signRequest: 13,
  signResponse: 14,
} as const;

/** OpenSSH's own limit for one message. */
const longestMessage = 256 * 1024;

/** The answer to what is not done. */
export const failureMessage: Buffer = Buffer.from([0, 0, 0, 1, agentMessage.failure]);

/** The messages of a stream, each with its length in front. Throws for lengths that no agent takes, and cut off ones. */
export async function* readAgentMessages(stream: Readable): AsyncGenerator<Buffer, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
    while (rest.length >= 4) {
      const length = rest.readUInt32BE(0);
      if (length === 0 || length > longestMessage) throw new Error(`an ssh agent message of ${length} bytes`);
      if (rest.length < 4 + length) break;
      yield rest.subarray(0, 4 + length);
      rest = rest.subarray(4 + length);
    }
  }
  if (rest.length > 0) throw new Error("an ssh agent message that ends in its middle");
}

/** Writes a message; resolves when the stream has taken it. */
export function writeAgentMessage(stream: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}
