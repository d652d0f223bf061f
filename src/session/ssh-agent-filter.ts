import type { Duplex, Readable, Writable } from "node:stream";

// Numbers of draft-miller-ssh-agent, section 5.1.
const failure = 5;
const requestIdentities = 11;
const signRequest = 13;

/** OpenSSH's own limit for one message. */
const longestMessage = 256 * 1024;

const failureMessage = Buffer.from([0, 0, 0, 1, failure]);

/**
 * Passes an agent connection on, but only questions for keys and for signatures.
 *
 * Everything else (adding, removing, locking, extensions) is answered with a failure and never reaches the agent, as
 * BuildKit's own client does: a build may use keys, not change them. One message at a time, so that answers keep their
 * order. Resolves when the other side has ended; rejects if either side breaks off within a message.
 */
export async function filterAgent(asks: Readable, answers: Writable, agent: Duplex): Promise<void> {
  const questions = readMessages(asks);
  const replies = readMessages(agent);
  for await (const question of questions) {
    const kind = question[4];
    if (kind !== requestIdentities && kind !== signRequest) {
      await write(answers, failureMessage);
      continue;
    }
    await write(agent, question);
    const reply = await replies.next();
    if (reply.done === true) throw new Error("the ssh agent hung up without an answer");
    await write(answers, reply.value);
  }
}

/** The messages of a stream, each with its length in front. */
async function* readMessages(stream: Readable): AsyncGenerator<Buffer, undefined> {
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

function write(stream: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}
