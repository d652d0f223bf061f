import { open } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { KilnError } from "../errors.js";
import { agentMessage, failureMessage, readAgentMessages, writeAgentMessage } from "./ssh-agent-messages.js";
import { parseSshPrivateKey, SshKeyProblem, type SshPrivateKey } from "./ssh-private-key.js";
import { SshReader, sshString, sshUint32 } from "./ssh-wire.js";

/** Most bytes of a key file: the largest keys have a tenth of it. */
const longestFile = 100 * 1024;

/**
 * Reads the private keys of these files, in their order, each once.
 *
 * Rejects with `ERR_KILN_SSH_KEY` for a file that is not there, cannot be read or holds no key that can be used, e.g.
 * for a passphrase. No message quotes a file.
 */
export async function loadSshKeys(files: readonly string[]): Promise<readonly SshPrivateKey[]> {
  const keys: SshPrivateKey[] = [];
  for (const file of files) {
    const key = await loadSshKey(file);
    if (!keys.some(({ publicBlob }) => publicBlob.equals(key.publicBlob))) keys.push(key);
  }
  return keys;
}

async function loadSshKey(file: string): Promise<SshPrivateKey> {
  const text = await readKeyFile(file);
  try {
    return parseSshPrivateKey(text);
  } catch (error) {
    if (!(error instanceof SshKeyProblem)) throw error;
    throw new KilnError("ERR_KILN_SSH_KEY", `the ssh key ${file} cannot be used: ${error.message}`, {
      hint: error.hint ?? "Check the file: ssh-keygen -y -f FILE prints the public half of a good one.",
    });
  }
}

async function readKeyFile(file: string): Promise<string> {
  const handle = await open(file, "r").catch((error: unknown) => {
    throw unreadable(file, error);
  });
  try {
    // Not to wait for a pipe or read a device.
    if (!(await handle.stat()).isFile()) throw unreadable(file, undefined, "is no file");
    const buffer = Buffer.alloc(longestFile + 1);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    if (bytesRead > longestFile) throw unreadable(file, undefined, "is too large for a key");
    return buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    throw error instanceof KilnError ? error : unreadable(file, error);
  } finally {
    await handle.close();
  }
}

function unreadable(file: string, cause: unknown, why?: string): KilnError {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  return new KilnError(
    "ERR_KILN_SSH_KEY",
    `the ssh key ${file} ${why ?? (code === "ENOENT" ? "does not exist" : "cannot be read")}`,
    { cause, hint: "Check the path and its permissions. Sockets go into { agent: PATH }." },
  );
}

/**
 * Serves private keys as an ssh agent: lists them and signs with them, nothing else.
 *
 * Keys are listed without comments, which name machines and people. Resolves when the other side has ended; rejects if
 * it breaks off within a message.
 */
export async function serveSshKeys(
  asks: Readable,
  answers: Writable,
  keys: readonly SshPrivateKey[],
): Promise<void> {
  for await (const question of readAgentMessages(asks)) {
    await writeAgentMessage(answers, answerTo(question.subarray(4), keys));
  }
}

function answerTo(question: Buffer, keys: readonly SshPrivateKey[]): Buffer {
  switch (question[0]) {
    case agentMessage.requestIdentities:
      return sshString(
        Buffer.concat([
          Buffer.from([agentMessage.identitiesAnswer]),
          sshUint32(keys.length),
          ...keys.flatMap(({ publicBlob }) => [sshString(publicBlob), sshString("")]),
        ]),
      );
    case agentMessage.signRequest: {
      const signature = signFor(question.subarray(1), keys);
      return signature === undefined
        ? failureMessage
        : sshString(Buffer.concat([Buffer.from([agentMessage.signResponse]), sshString(signature)]));
    }
    default:
      return failureMessage;
  }
}

/** The signature that a step asked for; `undefined` for a key that is not there and for what makes no sense. */
function signFor(request: Buffer, keys: readonly SshPrivateKey[]): Buffer | undefined {
  try {
    const reader = new SshReader(request);
    const [blob, data, flags] = [reader.string(), reader.string(), reader.uint32()];
    if (reader.left > 0) return undefined;
    return keys.find(({ publicBlob }) => publicBlob.equals(blob))?.sign(data, flags);
  } catch {
    // E.g. a key that OpenSSL's settings on this machine do not let sign with SHA-1.
    return undefined;
  }
}
