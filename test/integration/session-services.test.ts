import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, it } from "vitest";
import { copy, http, marshal, image as registryImage, type State, scratch } from "../../src/llb/index.js";
import { Client, localDir } from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-services-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const debian = (): State => registryImage(`${registry()}/library/debian:bookworm-slim`);
const shell = (script: string): string[] => ["/bin/sh", "-c", script];

/** Writes hexadecimal bytes to the agent's socket and prints what comes back, in hexadecimal. */
const talk = (hex: string, expected: number): string =>
  `perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die "no: $!"; ` +
  `syswrite $s, pack("H*", "${hex}"); my $all = ""; while (length($all) < ${expected}) ` +
  `{ my $n = sysread $s, my $b, 65536; last unless $n; $all .= $b } print unpack("H*", $all)'`;

describeEachEngine("what a session serves to steps", ({ name, address }) => {
  let client: Client;
  const servers: Server[] = [];
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(async () => {
    for (const server of servers) server.close();
    await client.close();
  });

  async function listen(onData: (data: Buffer, reply: (bytes: Buffer) => void) => void): Promise<string> {
    const path = join(mkdtempSync(join(dir, "sock-")), "s");
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("data", (data) => onData(data, (bytes) => socket.write(bytes)));
      socket.on("end", () => socket.end());
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    servers.push(server);
    return path;
  }

  async function outputOf(state: State, options: Parameters<Client["solve"]>[1]): Promise<string> {
    const out = mkdtempSync(join(dir, "out-"));
    const result = scratch().file(copy(state, { src: "/out", dest: "/out" }));
    await client.solve(marshal(result), { ...options, outputs: [localDir(out)] }).result;
    return readFileSync(join(out, "out"), "utf8");
  }

  it("SSHMount: gives steps an agent that can list and sign, and nothing else", async () => {
    const seen: string[] = [];
    const agent = await listen((data, reply) => {
      seen.push(data.toString("hex"));
      reply(Buffer.from("000000050c00000000", "hex"));
    });
    // List keys, then remove all keys, then list again.
    const asked = "000000010b" + "0000000113" + "000000010b";
    const step = debian().run(shell(`${talk(asked, 23)} > /out # ${name}`), { ssh: [{}], ignoreCache: true });
    const said = await outputOf(step.root(), { ssh: { default: { agent } } });
    expect(said).toBe("000000050c00000000" + "0000000105" + "000000050c00000000");
    expect(seen).toEqual(["000000010b", "000000010b"]);
  });

  it("SSHMount: gives steps the keys of files, to list and to sign with, and nothing else", async () => {
    const file = (key: KeyObject): string => {
      const path = join(mkdtempSync(join(dir, "key-")), "id");
      writeFileSync(path, key.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
      return path;
    };
    const ed25519 = generateKeyPairSync("ed25519").privateKey;
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const ssh = { default: { keys: [file(ed25519), file(rsa)] } };
    const field = (value: Buffer | string): Buffer => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(value.length);
      return Buffer.concat([length, Buffer.from(value)]);
    };
    const number = (name: "n" | "e"): Buffer => {
      const bytes = Buffer.from(rsa.export({ format: "jwk" })[name] ?? "", "base64url");
      return field(name === "n" ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
    };
    const blobs = [
      Buffer.concat([
        field("ssh-ed25519"),
        field(Buffer.from(ed25519.export({ format: "jwk" }).x ?? "", "base64url")),
      ]),
      Buffer.concat([field("ssh-rsa"), number("e"), number("n")]),
    ] as const;
    const data = Buffer.from(`signed for ${name}`);
    const sign = (blob: Buffer, flags: number): Buffer =>
      field(Buffer.concat([Buffer.from([13]), field(blob), field(data), Buffer.from([0, 0, 0, flags])]));
    const list = field(
      Buffer.concat([Buffer.from([12, 0, 0, 0, 2]), ...blobs.flatMap((blob) => [field(blob), field("")])]),
    );
    const failure = field(Buffer.from([5]));
    const signature = (algorithm: string, bytes: number): number =>
      field(
        Buffer.concat([
          Buffer.from([14]),
          field(Buffer.concat([field(algorithm), field(Buffer.alloc(bytes))])),
        ]),
      ).length;
    // List, sign with either, remove all keys, list again.
    const asked = [
      ...[field(Buffer.from([11])), sign(blobs[0], 0), sign(blobs[1], 4)],
      ...[field(Buffer.from([19])), field(Buffer.from([11]))],
    ];
    const sizes = [list.length, signature("ssh-ed25519", 64), signature("rsa-sha2-512", 256)];
    const total = sizes.reduce((sum, size) => sum + size, failure.length + list.length);
    const step = debian().run(
      shell(`${talk(Buffer.concat(asked).toString("hex"), total)} > /out # ${name}`),
      {
        ssh: [{}],
        ignoreCache: true,
      },
    );
    const said = Buffer.from(await outputOf(step.root(), { ssh }), "hex");
    expect(said.length).toBe(total);
    expect(said.subarray(0, list.length)).toEqual(list);
    const [first, second] = [list.length + sizes[1]!, list.length + sizes[1]! + sizes[2]!];
    expect(verify(null, data, createPublicKey(ed25519), said.subarray(first - 64, first))).toBe(true);
    expect(verify("sha512", data, createPublicKey(rsa), said.subarray(second - 256, second))).toBe(true);
    expect(said.subarray(second)).toEqual(Buffer.concat([failure, list]));
  });

  it("refuses key files that cannot be used by name and before the step runs, and sources that are none", async () => {
    const step = debian()
      .run(shell("echo ran > /out"), { ssh: [{}], ignoreCache: true })
      .root();
    const locked = join(mkdtempSync(join(dir, "key-")), "locked");
    const { privateKey } = generateKeyPairSync("ed25519", {
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
    });
    writeFileSync(locked, privateKey);
    for (const [file, words] of [
      [locked, "encrypted with a passphrase"],
      [join(dir, "no-such-key"), "does not exist"],
    ] as const) {
      await expect(outputOf(step, { ssh: { default: { keys: [file] } } })).rejects.toMatchObject({
        code: "ERR_KILN_SSH_KEY",
        message: expect.stringContaining(words),
        hint: expect.any(String),
      });
    }
    for (const source of [
      {},
      { keys: [] },
      { keys: "k" },
      { keys: [1] },
      { agent: false },
      { agent: "a", keys: ["k"] },
      1,
    ]) {
      await expect(outputOf(step, { ssh: { default: source as never } })).rejects.toMatchObject({
        code: "ERR_KILN_INVALID_ARGUMENT",
      });
    }
    await expect(outputOf(step, { ssh: { default: { key: "k" } as never } })).rejects.toMatchObject({
      code: "ERR_KILN_UNKNOWN_OPTION",
    });
  });

  it("RawSocketMount: passes any socket on byte by byte, at the place that the step names", async () => {
    const path = await listen((data, reply) => reply(Buffer.from(data.toString().toUpperCase())));
    const step = debian().run(
      shell(`export SSH_AUTH_SOCK=/run/db.sock; ${talk(Buffer.from("hello").toString("hex"), 5)} > /out`),
      { ssh: [{ id: "db", target: "/run/db.sock", mode: 0o666 }], ignoreCache: true },
    );
    const said = await outputOf(step.root(), { ssh: { db: { socket: path } } });
    expect(Buffer.from(said, "hex").toString()).toBe("HELLO");
  });

  it("moves large amounts through a socket both ways", async () => {
    const path = await listen((data, reply) => reply(data));
    const size = 3_000_000;
    const script =
      `perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}); my $d = "x" x ${size}; ` +
      `if (!fork) { my $o = 0; while ($o < length $d) { my $w = syswrite $s, $d, 65536, $o; last unless $w; $o += $w } exit } ` +
      `my $n = 0; while ($n < ${size}) { my $r = sysread $s, my $b, 65536; last unless $r; $n += $r } print $n' > /out`;
    const step = debian().run(shell(script), { ssh: [{}], ignoreCache: true });
    expect(await outputOf(step.root(), { ssh: { default: { socket: path } } })).toBe(String(size));
  });

  it("refuses an agent that nobody gave, by name, and runs without an optional one", async () => {
    const needs = debian().run(shell("true"), { ssh: [{ id: "nobody" }], ignoreCache: true });
    await expect(outputOf(needs.root(), {})).rejects.toThrow(/unset ssh forward key nobody/);
    const optional = debian().run(shell("printf ok > /out"), {
      ssh: [{ id: "nobody", optional: true }],
      ignoreCache: true,
    });
    expect(await outputOf(optional.root(), {})).toBe("ok");
    const gone = debian().run(shell(`${talk("000000010b", 9)} > /out`), { ssh: [{}], ignoreCache: true });
    await expect(
      outputOf(gone.root(), { ssh: { default: { agent: join(dir, "no-such-socket") } } }),
    ).rejects.toMatchObject({ code: "ERR_KILN_SSH_AGENT" });
    const unset = await Client.connect(address, { env: {} });
    await expect(
      unset.solve(marshal(gone.root()), { ssh: { default: { agent: true } } }).result,
    ).rejects.toMatchObject({ code: "ERR_KILN_SSH_AGENT" });
    await unset.close();
  });

  it("uploads bytes and streams that http sources name", async () => {
    const id = `blob-${name}-${Date.now()}`;
    const big = Buffer.alloc(9 * 1024 * 1024 + 3, "y");
    const read = (upload: string): State => http(`http://buildkit-session/${upload}`, { filename: "out" });
    expect(await outputOf(read(`${id}-a`), { uploads: { [`${id}-a`]: Buffer.from("some bytes") } })).toBe(
      "some bytes",
    );
    const streamed = await outputOf(read(`${id}-b`), {
      uploads: { [`${id}-b`]: () => Readable.from([big.subarray(0, 5), big.subarray(5)]) },
    });
    expect(streamed.length).toBe(big.length);
    await expect(outputOf(read(`${id}-c`), {})).rejects.toThrow(/nothing is uploaded as/);
  });
});
