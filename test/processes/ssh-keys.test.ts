import { spawn, spawnSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadSshKeys, serveSshKeys } from "../../src/session/ssh-key-agent.js";
import { parseSshPrivateKey, SshKeyProblem } from "../../src/session/ssh-private-key.js";
import { SshReader, sshNumber, sshString, sshUint32 } from "../../src/session/ssh-wire.js";
import { cpuMilliseconds } from "../unit/internal/cpu-time.js";
import { newEd25519, newRsa, openSshFile } from "../unit/session/open-ssh-key.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-ssh-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const data = Buffer.from("to be signed");

/** Checks a signature as an agent gives it, and returns its algorithm. */
function checkSignature(blob: Buffer | undefined, key: KeyObject): string {
  const reader = new SshReader(blob ?? Buffer.alloc(0));
  const algorithm = reader.text();
  const raw = reader.string();
  const publicKey = createPublicKey(key);
  if (algorithm.startsWith("ecdsa-sha2-nistp")) {
    const size = { 256: 32, 384: 48, 521: 66 }[algorithm.slice(16)] ?? 0;
    const numbers = new SshReader(raw);
    const padded = [numbers.positive(), numbers.positive()].map((n) =>
      Buffer.concat([Buffer.alloc(size - n.length), n]),
    );
    const hash = { 32: "sha256", 48: "sha384", 66: "sha512" }[size] ?? "";
    expect(verify(hash, data, { key: publicKey, dsaEncoding: "ieee-p1363" }, Buffer.concat(padded))).toBe(
      true,
    );
    return algorithm;
  }
  const hash = { "rsa-sha2-256": "sha256", "rsa-sha2-512": "sha512", "ssh-rsa": "sha1" }[algorithm] ?? null;
  expect(verify(hash, data, publicKey, raw)).toBe(true);
  return algorithm;
}

/** What the agent answers to messages. */
async function ask(keys: Parameters<typeof serveSshKeys>[2], ...messages: Buffer[]): Promise<Buffer> {
  const [asks, answers] = [new PassThrough(), new PassThrough()];
  for (const message of messages) asks.write(sshString(message));
  asks.end();
  await serveSshKeys(asks, answers, keys);
  answers.end();
  return Buffer.concat(await answers.toArray());
}

const signRequest = (blob: Buffer, flags = 0): Buffer =>
  Buffer.concat([Buffer.from([13]), sshString(blob), sshString(data), sshUint32(flags)]);

describe("a private key for ssh", () => {
  const curves = ["P-256", "P-384", "P-521"] as const;

  it("of Node's making signs so that Node agrees", () => {
    const pairs = [
      generateKeyPairSync("ed25519"),
      generateKeyPairSync("rsa", { modulusLength: 2048 }),
      ...curves.map((namedCurve) => generateKeyPairSync("ec", { namedCurve })),
    ];
    const algorithms = pairs.map(({ privateKey }) => {
      const text = privateKey.export({ type: "pkcs8", format: "pem" });
      return checkSignature(parseSshPrivateKey(String(text)).sign(data, 0), privateKey);
    });
    expect(algorithms).toEqual([
      ...["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"],
    ]);
  });

  it("in OpenSSH's format is the same key", () => {
    for (const { key, parts } of [newEd25519(), newRsa(1024)]) {
      const parsed = parseSshPrivateKey(openSshFile(parts));
      expect(parsed.publicBlob).toEqual(parts.publicBlob);
      checkSignature(parsed.sign(data, 0), key);
      const pkcs8 = parseSshPrivateKey(String(key.export({ type: "pkcs8", format: "pem" })));
      expect(parsed.publicBlob).toEqual(pkcs8.publicBlob);
    }
  });

  it("of RSA signs with what the flags ask for", () => {
    const { key, parts } = newRsa(1024);
    const parsed = parseSshPrivateKey(openSshFile(parts));
    const algorithms = [0, 2, 4, 6].map((flags) => checkSignature(parsed.sign(data, flags), key));
    expect(algorithms).toEqual(["ssh-rsa", "rsa-sha2-256", "rsa-sha2-512", "rsa-sha2-256"]);
    expect(parsed.sign(data, 8)).toBeUndefined();
  });

  it("is refused with a reason and without its text", () => {
    const { parts } = newEd25519();
    const { parts: other } = newEd25519();
    const pkcs8 = (type: "ed448" | "x25519"): string =>
      String(generateKeyPairSync(type as "ed448").privateKey.export({ type: "pkcs8", format: "pem" }));
    const k1 = generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey;
    const locked = generateKeyPairSync("ed25519").privateKey.export({
      ...{ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
    });
    const rsa512 = generateKeyPairSync("rsa", { modulusLength: 512 }).privateKey;
    const kind = (name: string) => Buffer.concat([sshString(name), parts.fields.subarray(15)]);
    for (const [title, text, words] of [
      ["nothing", "", "no private key"],
      ["a public key", `ssh-ed25519 ${parts.publicBlob.toString("base64")} me`, "public key"],
      ["a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "a CERTIFICATE"],
      ["no base64", "-----BEGIN OPENSSH PRIVATE KEY-----\n!\n-----END OPENSSH PRIVATE KEY-----", "damaged"],
      ["no end", openSshFile(parts).slice(0, -40), "cut off"],
      ["another format", openSshFile({ ...parts, magic: "openssh-key-v2\0" }), "damaged"],
      ["a passphrase", openSshFile({ ...parts, cipher: "aes256-ctr", derivation: "bcrypt" }), "passphrase"],
      ["a passphrase in PKCS #8", String(locked), "passphrase"],
      [
        "a passphrase of old",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAA==\n-----END RSA PRIVATE KEY-----",
        "passphrase",
      ],
      ["two keys", openSshFile({ ...parts, count: 2 }), "2 keys"],
      ["no keys", openSshFile({ ...parts, count: 0 }), "0 keys"],
      ["other checks", openSshFile({ ...parts, checks: [1, 2] }), "damaged"],
      ["another padding", openSshFile({ ...parts, padding: Buffer.from([1, 3]) }), "damaged"],
      ["more behind it", openSshFile({ ...parts, behind: Buffer.from([0]) }), "damaged"],
      ["another's public half", openSshFile({ ...parts, publicBlob: other.publicBlob }), "does not belong"],
      [
        "another's private half",
        openSshFile({
          ...parts,
          fields: Buffer.concat([parts.fields.subarray(0, 55), other.fields.subarray(55)]),
        }),
        "does not belong",
      ],
      [
        "a key on a token",
        openSshFile({ ...parts, fields: kind("sk-ssh-ed25519@openssh.com") }),
        "cannot be used",
      ],
      ["a kind of old", openSshFile({ ...parts, fields: kind("ssh-dss") }), "ssh-dss"],
      ["a short RSA key", String(rsa512.export({ type: "pkcs1", format: "pem" })), "512 bits"],
      ["a curve of others", String(k1.export({ type: "sec1", format: "pem" })), "secp256k1"],
      ["Ed448", pkcs8("ed448"), "ed448"],
    ] as const) {
      let problem: unknown;
      try {
        parseSshPrivateKey(text);
      } catch (error) {
        problem = error;
      }
      expect(problem, title).toBeInstanceOf(SshKeyProblem);
      expect((problem as Error).message, title).toContain(words);
      const lines = text.split("\n").filter((line) => line.length > 20 && !line.startsWith("-"));
      for (const line of lines) expect(String((problem as Error).stack), title).not.toContain(line);
    }
  });

  it("that is damaged anywhere is refused or still itself, in no time", () => {
    for (const { parts } of [newEd25519(), newRsa(1024)]) {
      const text = openSshFile(parts);
      const [head = "", ...rest] = text.trimEnd().split("\n");
      const tail = rest.pop() ?? "";
      const bytes = Buffer.from(rest.join(""), "base64");
      const parse = (changed: Buffer): void => {
        try {
          parseSshPrivateKey([head, changed.toString("base64"), tail].join("\n")).sign(data, 2);
        } catch (error) {
          if (!(error instanceof SshKeyProblem)) throw error;
        }
      };
      const took = cpuMilliseconds(() => {
        for (let index = 0; index < bytes.length; index += 1) {
          parse(bytes.subarray(0, index));
          for (const value of [0x00, 0xff]) {
            const changed = Buffer.from(bytes);
            changed[index] = value;
            parse(changed);
          }
        }
        for (let index = 0; index + 4 <= bytes.length; index += 1) {
          const changed = Buffer.from(bytes);
          changed.writeUInt32BE(0xffffffff, index);
          parse(changed);
        }
      });
      expect(took).toBeLessThan(15_000);
    }
  });
});

describe("key files", () => {
  it("are read once each, and refused by name", async () => {
    const { parts } = newEd25519();
    const [good, large, locked] = ["good", "large", "locked"].map((name) => join(dir, name)) as [
      ...[string, string, string],
    ];
    writeFileSync(good, openSshFile(parts));
    writeFileSync(large, "x".repeat(101 * 1024));
    writeFileSync(locked, openSshFile({ ...parts, cipher: "aes256-ctr" }));
    mkdirSync(join(dir, "folder"));
    expect(await loadSshKeys([good, good])).toHaveLength(1);
    for (const [file, words] of [
      [join(dir, "none"), "does not exist"],
      [join(dir, "folder"), "is no file"],
      [large, "too large"],
      [locked, "passphrase"],
    ] as const) {
      await expect(loadSshKeys([good, file])).rejects.toMatchObject({
        code: "ERR_KILN_SSH_KEY",
        message: expect.stringMatching(new RegExp(`${file}.*${words}`)),
        hint: expect.any(String),
      });
    }
  });
});

describe("the agent of key files", () => {
  it("lists and signs, and does nothing else", async () => {
    const [one, two] = [newEd25519(), newEd25519()];
    const keys = [one, two].map(({ parts }) => parseSshPrivateKey(openSshFile(parts)));
    const list = sshString(
      Buffer.concat([
        ...[Buffer.from([12]), sshUint32(2)],
        ...[sshString(one.parts.publicBlob), sshString("")],
        ...[sshString(two.parts.publicBlob), sshString("")],
      ]),
    );
    expect(await ask(keys, Buffer.from([11]))).toEqual(list);
    const answer = new SshReader(await ask(keys, signRequest(two.parts.publicBlob)));
    expect(answer.uint32()).toBe(answer.left);
    expect(answer.take(1)[0]).toBe(14);
    expect(checkSignature(answer.string(), two.key)).toBe("ssh-ed25519");
    const refused = sshString(Buffer.from([5]));
    const wrong = [
      ...[1, 17, 18, 19, 20, 21, 22, 23, 25, 26, 27, 255].map((kind) => Buffer.from([kind])),
      signRequest(newEd25519().parts.publicBlob),
      signRequest(one.parts.publicBlob).subarray(0, -1),
      Buffer.concat([signRequest(one.parts.publicBlob), Buffer.from([0])]),
      Buffer.from([13, 0xff, 0xff, 0xff, 0xff]),
      Buffer.from([13]),
    ];
    expect(await ask(keys, ...wrong)).toEqual(Buffer.concat(wrong.map(() => refused)));
  });

  it("writes numbers as ssh does", () => {
    expect(sshNumber(Buffer.from([0, 0, 1])).toString("hex")).toBe("0000000101");
    expect(sshNumber(Buffer.from([0x80])).toString("hex")).toBe("000000020080");
    expect(sshNumber(Buffer.from([0])).toString("hex")).toBe("00000000");
  });
});

describe("OpenSSH's own programs", () => {
  const missing = ["ssh-keygen", "ssh-add"].find((name) => spawnSync(name, ["-?"]).error !== undefined);

  function run(name: string, args: readonly string[], socket: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = spawn(name, args, { env: { ...process.env, SSH_AUTH_SOCK: socket } });
      let output = "";
      child.stdout.on("data", (chunk) => {
        output += String(chunk);
      });
      child.stderr.on("data", (chunk) => {
        output += String(chunk);
      });
      child.on("close", (code) => {
        if (code === 0) resolve(output);
        else reject(new Error(`${name} ${args.join(" ")} ended with ${code}: ${output}`));
      });
    });
  }

  for (const [type, bits] of [
    ["ed25519", 256],
    ["ecdsa", 256],
    ["ecdsa", 384],
    ["ecdsa", 521],
    ["rsa", 2048],
  ] as const) {
    for (const format of ["RFC4716", "PEM", "PKCS8"]) {
      it(`use a key of ${type} ${bits} in the format ${format}`, async ({ skip }) => {
        if (missing !== undefined) skip(`${missing} is not on this machine`);
        const file = join(dir, "key");
        const args = [
          "-q",
          "-t",
          type,
          "-b",
          String(bits),
          "-m",
          format,
          "-N",
          "",
          "-C",
          "me@here",
          "-f",
          file,
        ];
        await run("ssh-keygen", args, "");
        const keys = await loadSshKeys([file]);
        const [, blob = ""] = readFileSync(`${file}.pub`, "utf8").split(" ");
        expect(keys[0]?.publicBlob.toString("base64")).toBe(blob);
        const socket = join(dir, "agent");
        const server = createServer((connection) => {
          serveSshKeys(connection, connection, keys).then(
            () => connection.end(),
            () => connection.destroy(),
          );
        });
        await new Promise<void>((resolve) => server.listen(socket, resolve));
        const print = await run("ssh-keygen", ["-l", "-f", `${file}.pub`], socket);
        expect((await run("ssh-add", ["-l"], socket)).split(" ")[1]).toBe(print.split(" ")[1]);
        // Has the agent sign, and checks the signature.
        await run("ssh-add", ["-T", `${file}.pub`], socket);
        await expect(run("ssh-add", ["-D"], socket)).rejects.toThrow(/ailed/);
        server.close();
      });
    }
  }

  it("encrypt keys in ways that are told from damage", async ({ skip }) => {
    if (missing !== undefined) skip(`${missing} is not on this machine`);
    for (const [type, format] of [
      ["ed25519", "RFC4716"],
      ["rsa", "PEM"],
      ["ecdsa", "PKCS8"],
    ] as const) {
      const file = join(dir, `locked-${type}`);
      await run("ssh-keygen", ["-q", "-t", type, "-m", format, "-N", "passphrase", "-f", file], "");
      await expect(loadSshKeys([file])).rejects.toMatchObject({
        code: "ERR_KILN_SSH_KEY",
        message: expect.stringContaining("encrypted with a passphrase"),
        hint: expect.stringContaining("ssh-add"),
      });
    }
  });
});
