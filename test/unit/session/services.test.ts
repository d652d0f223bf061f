import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KilnError } from "../../../src/errors.js";
import {
  InfoRequestSchema,
  ReadContentRequestSchema,
  ReadContentResponseSchema,
  WriteAction,
  WriteContentRequestSchema,
  WriteContentResponseSchema,
} from "../../../src/gen/containerd/services/content/v1/content_pb.js";
import {
  GetSecretRequestSchema,
  GetSecretResponseSchema,
} from "../../../src/gen/moby/buildkit/secrets/v1/secrets_pb.js";
import {
  CredentialsRequestSchema,
  CredentialsResponseSchema,
  GetTokenAuthorityRequestSchema,
  GetTokenAuthorityResponseSchema,
} from "../../../src/gen/moby/filesync/v1/auth_pb.js";
import { encodeBytesMessage } from "../../../src/rpc/bytes-message.js";
import { authService } from "../../../src/session/auth.js";
import { contentService } from "../../../src/session/content.js";
import { layoutStore, writableLayoutStore } from "../../../src/session/content-store.js";
import { dockerCredentials } from "../../../src/session/docker-auth.js";
import { fileSendService } from "../../../src/session/file-send.js";
import type { Attachable } from "../../../src/session/grpc/service.js";
import { SessionServer } from "../../../src/session/grpc/session-server.js";
import { secretsService } from "../../../src/session/secrets.js";
import { TokenSeeds } from "../../../src/session/token-seeds.js";
import { resetCall } from "./reset-call.js";

let dir: string;
let server: Server | undefined;
let sessionServer: SessionServer | undefined;
let client: Client | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-session-"));
});

afterEach(() => {
  client?.close();
  sessionServer?.shutdown();
  server?.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Serves a service on a socket and plays the daemon. */
async function daemonOf(service: Attachable): Promise<Client> {
  sessionServer = new SessionServer([service], { messageLimit: 16 * 1024 * 1024 });
  const path = join(dir, "s.sock");
  server = createServer((socket) => sessionServer?.serve(socket));
  await new Promise<void>((resolve) => server?.listen(path, resolve));
  client = new Client(`unix://${path}`, credentials.createInsecure());
  return client;
}

const raw = (bytes: Buffer): Buffer => bytes;

function metadata(values: Readonly<Record<string, string>>): Metadata {
  const result = new Metadata();
  for (const [key, value] of Object.entries(values)) result.set(key, value);
  return result;
}

function unary(
  daemon: Client,
  path: string,
  message: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    daemon.makeUnaryRequest(path, raw, raw, Buffer.from(message), metadata(headers), (error, answer) =>
      error === null && answer !== undefined ? resolve(answer) : reject(error),
    );
  });
}

/** Sends messages on a stream both ways, ends it and collects the answers. */
function stream(
  daemon: Client,
  path: string,
  headers: Readonly<Record<string, string>>,
  messages: readonly Uint8Array[],
): Promise<readonly Buffer[]> {
  return new Promise((resolve, reject) => {
    const call = daemon.makeBidiStreamRequest(path, raw, raw, metadata(headers));
    const answers: Buffer[] = [];
    call.on("data", (answer: Buffer) => answers.push(answer));
    call.on("error", reject);
    call.on("end", () => resolve(answers));
    for (const message of messages) call.write(Buffer.from(message));
    call.end();
  });
}

const digestOf = (bytes: Uint8Array | string): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const content = "/containerd.services.content.v1.Content";

describe("the content service", () => {
  function put(text: string): string {
    const digest = digestOf(text);
    mkdirSync(join(dir, "blobs", "sha256"), { recursive: true });
    writeFileSync(join(dir, "blobs", "sha256", digest.slice(7)), text);
    return digest;
  }

  it("reads a stretch of a blob from the store that the daemon names", async () => {
    const digest = put("0123456789");
    const daemon = await daemonOf(contentService(new Map([["oci:base", layoutStore(dir)]])));
    const request = toBinary(
      ReadContentRequestSchema,
      create(ReadContentRequestSchema, { digest, offset: 2n, size: 5n }),
    );
    const answers = await stream(daemon, `${content}/Read`, { "buildkit-attachable-store-id": "oci:base" }, [
      request,
    ]);
    expect(
      answers.map((answer) => Buffer.from(fromBinary(ReadContentResponseSchema, answer).data).toString()),
    ).toEqual(["23456"]);
  });

  it.each([
    ["a path in place of a digest", "sha256:../../../etc/passwd", "oci:base", 3],
    ["another algorithm", `sha512:${"0".repeat(128)}`, "oci:base", 3],
    ["a blob that is not there", digestOf("missing"), "oci:base", 5],
    ["a store that was not offered", digestOf("x"), "oci:other", 5],
  ])("refuses %s", async (_title, digest, store, code) => {
    put("x");
    const daemon = await daemonOf(contentService(new Map([["oci:base", layoutStore(dir)]])));
    const request = toBinary(InfoRequestSchema, create(InfoRequestSchema, { digest }));
    await expect(
      unary(daemon, `${content}/Info`, request, { "buildkit-attachable-store-id": store }),
    ).rejects.toMatchObject({ code });
  });

  const write = (message: Parameters<typeof create<typeof WriteContentRequestSchema>>[1]): Uint8Array =>
    toBinary(WriteContentRequestSchema, create(WriteContentRequestSchema, message));
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const header = { "buildkit-attachable-store-id": "export" };

  it("takes a blob in pieces and shows it only when its digest is right", async () => {
    const store = writableLayoutStore(dir);
    const daemon = await daemonOf(contentService(new Map([["export", store]])));
    const expected = digestOf("hello world");
    const answers = await stream(daemon, `${content}/Write`, header, [
      write({ action: WriteAction.STAT, ref: "r", total: 11n, expected }),
      write({ action: WriteAction.WRITE, data: bytes("hello "), offset: 0n }),
      write({ action: WriteAction.COMMIT, data: bytes("world"), offset: 6n, total: 11n, expected }),
    ]);
    expect(fromBinary(WriteContentResponseSchema, answers[2] as Buffer)).toMatchObject({
      offset: 11n,
      digest: expected,
    });
    expect(readFileSync(join(dir, "blobs", "sha256", expected.slice(7)), "utf8")).toBe("hello world");
    expect(store.noted.at(-1)).toBe(expected);
    expect(readdirSync(join(dir, "ingest"))).toEqual([]);
    const again = stream(daemon, `${content}/Write`, header, [
      write({ action: WriteAction.STAT, ref: "r", expected }),
    ]);
    await expect(again).rejects.toMatchObject({ code: 6 });
  });

  it("copies a blob that lies elsewhere, in place of taking it; over a damaged one, too", async () => {
    const elsewhere = join(dir, "elsewhere");
    writeFileSync(elsewhere, "hello world");
    const expected = digestOf("hello world");
    const asked: string[] = [];
    const store = writableLayoutStore(dir, {
      versions: new Map(),
      blobAt: async (digest) => {
        asked.push(digest);
        return digest === expected ? elsewhere : undefined;
      },
    });
    const daemon = await daemonOf(contentService(new Map([["export", store]])));
    const stat = [write({ action: WriteAction.STAT, ref: "r", total: 11n, expected })];
    const file = join(dir, "blobs", "sha256", expected.slice(7));
    for (const _ of ["missing", "damaged"]) {
      await expect(stream(daemon, `${content}/Write`, header, stat)).rejects.toMatchObject({ code: 6 });
      expect(readFileSync(file, "utf8")).toBe("hello world");
      writeFileSync(file, "hallo world");
    }
    expect(asked).toEqual([expected, expected]);
    expect(readdirSync(join(dir, "blobs", "sha256"))).toEqual([expected.slice(7)]);
    // What is gone meanwhile, or is nowhere else, is taken.
    rmSync(file);
    rmSync(elsewhere);
    for (const text of ["hello world", "other"]) {
      await stream(daemon, `${content}/Write`, header, [
        write({ action: WriteAction.STAT, ref: "r", expected: digestOf(text) }),
        write({ action: WriteAction.COMMIT, data: bytes(text), offset: 0n, expected: digestOf(text) }),
      ]);
      expect(readFileSync(join(dir, "blobs", "sha256", digestOf(text).slice(7)), "utf8")).toBe(text);
    }
  });

  it.each([
    ["whose digest is wrong", { total: 5n, expected: digestOf("other") }, 9],
    ["that is too short", { total: 99n, expected: digestOf("hello") }, 9],
    ["written past its end", { offset: 7n, total: 5n, expected: digestOf("hello") }, 11],
  ])("keeps nothing of a blob %s", async (_title, commit, code) => {
    const daemon = await daemonOf(contentService(new Map([["export", writableLayoutStore(dir)]])));
    const call = stream(daemon, `${content}/Write`, header, [
      write({ action: WriteAction.STAT, ref: "r" }),
      write({ action: WriteAction.COMMIT, data: bytes("hello"), ...commit }),
    ]);
    await expect(call).rejects.toMatchObject({ code });
    expect(readdirSync(join(dir, "blobs", "sha256"))).toEqual([]);
    expect(readdirSync(join(dir, "ingest"))).toEqual([]);
  });

  it("does not let the daemon write into a base", async () => {
    const daemon = await daemonOf(contentService(new Map([["export", layoutStore(dir)]])));
    const call = stream(daemon, `${content}/Write`, header, [write({ action: WriteAction.STAT, ref: "r" })]);
    await expect(call).rejects.toMatchObject({ code: 7 });
  });
});

describe("the file receiver", () => {
  const path = "/moby.filesync.v1.FileSend/DiffCopy";

  it("writes a tar under its name when it is whole, and hands its metadata on", async () => {
    const file = join(dir, "out.tar");
    let heard: Readonly<Record<string, string>> = {};
    const daemon = await daemonOf(
      fileSendService(new Map([[3, { kind: "file", path: file, onMetadata: (values) => (heard = values) }]])),
    );
    const headers = {
      "buildkit-attachable-exporter-id": "3",
      "exporter-md-containerimage.digest": "sha256:x",
    };
    await stream(daemon, path, headers, [
      encodeBytesMessage([Buffer.from("one ")]),
      encodeBytesMessage([Buffer.from("two")]),
    ]);
    expect(readFileSync(file, "utf8")).toBe("one two");
    expect(heard).toEqual({ "containerimage.digest": "sha256:x" });
  });

  it("leaves nothing of a tar that breaks off, and what stood there before as it was", async () => {
    const file = join(dir, "out.tar");
    writeFileSync(file, "before");
    const problems: unknown[] = [];
    await daemonOf(
      fileSendService(new Map([[0, { kind: "file", path: file }]]), {
        onProblem: (_id, error) => problems.push(error),
      }),
    );
    const halves = (): readonly string[] => readdirSync(dir).filter((name) => name.includes(".tmp"));
    const close = await resetCall(
      join(dir, "s.sock"),
      path,
      [encodeBytesMessage([Buffer.from("half")])],
      async () => {
        await expect
          .poll(() => halves().map((name) => readFileSync(join(dir, name), "utf8")))
          .toEqual(["half"]);
      },
    );
    await expect.poll(() => problems.length).toBe(1);
    close();
    expect(readFileSync(file, "utf8")).toBe("before");
    expect(halves()).toEqual([]);
  });

  it("refuses an exporter that nobody asked for, and bytes that are no message", async () => {
    const daemon = await daemonOf(
      fileSendService(new Map([[0, { kind: "stream", open: () => new PassThrough() }]])),
    );
    await expect(stream(daemon, path, { "buildkit-attachable-exporter-id": "9" }, [])).rejects.toMatchObject({
      code: 5,
    });
    await expect(stream(daemon, path, {}, [Buffer.from([0x0a, 0x7f])])).rejects.toMatchObject({ code: 2 });
  });
});

describe("secrets and credentials", () => {
  it("are given by name; what was not promised is not found; no message holds a value", async () => {
    const problems: unknown[] = [];
    const service = secretsService(
      {
        text: "value",
        variable: { env: "V" },
        missing: { env: "NO" },
        large: "s3cret".repeat(100_000),
        ["__proto__"]: "x",
      },
      { env: { V: "from env" }, onProblem: (error) => problems.push(error) },
    );
    const daemon = await daemonOf(service);
    const ask = async (ID: string): Promise<string> => {
      const request = toBinary(GetSecretRequestSchema, create(GetSecretRequestSchema, { ID }));
      const answer = await unary(daemon, "/moby.buildkit.secrets.v1.Secrets/GetSecret", request);
      return Buffer.from(fromBinary(GetSecretResponseSchema, answer).data).toString();
    };
    expect(await ask("text")).toBe("value");
    expect(await ask("variable")).toBe("from env");
    await expect(ask("GIT_AUTH_TOKEN")).rejects.toMatchObject({ code: 5 });
    expect(problems).toEqual([]);
    await expect(ask("missing")).rejects.toMatchObject({ code: 5 });
    await expect(ask("large")).rejects.toMatchObject({
      code: 3,
      details: expect.not.stringContaining("s3cret"),
    });
    expect(problems).toHaveLength(2);
  });

  async function credentialsOf(host: string, config: object, helpers: Readonly<Record<string, string>> = {}) {
    const bin = join(dir, "bin");
    mkdirSync(bin, { recursive: true });
    for (const [name, script] of Object.entries(helpers)) {
      writeFileSync(join(bin, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    writeFileSync(join(dir, "config.json"), JSON.stringify(config));
    return dockerCredentials(host, { env: { DOCKER_CONFIG: dir, PATH: `${bin}:/usr/bin:/bin` }, home: dir });
  }

  const auth = Buffer.from("user:pa:ss").toString("base64");

  it.each([
    ["ghcr.io", { auths: { "ghcr.io": { auth } } }, { username: "user", secret: "pa:ss" }],
    ["ghcr.io", { auths: { "https://ghcr.io/v1/": { auth } } }, { username: "user", secret: "pa:ss" }],
    [
      "registry-1.docker.io",
      { auths: { "https://index.docker.io/v1/": { auth } } },
      { username: "user", secret: "pa:ss" },
    ],
    ["a.io", { auths: { "a.io": { identitytoken: "t" } } }, { username: "", secret: "t" }],
    ["evil-ghcr.io", { auths: { "ghcr.io": { auth } } }, undefined],
    ["a.io", {}, undefined],
  ])("come for %s from Docker's config", async (host, config, expected) => {
    expect(await credentialsOf(host, config)).toEqual(expected);
  });

  it("come from a host's own helper before the general one", async () => {
    const answer = (user: string): string =>
      `read host; echo "{\\"Username\\":\\"${user}\\",\\"Secret\\":\\"$host\\"}"`;
    const helpers = {
      own: answer("own"),
      all: answer("all"),
      none: "echo 'credentials not found in native keychain'; exit 1",
      bad: "echo oops; exit 3",
    };
    const config = { credsStore: "all", credHelpers: { "a.io": "own" } };
    expect(await credentialsOf("a.io", config, helpers)).toEqual({ username: "own", secret: "a.io" });
    expect(await credentialsOf("b.io", config, helpers)).toEqual({ username: "all", secret: "b.io" });
    expect(
      await credentialsOf("b.io", { credsStore: "none", auths: { "b.io": { auth } } }, helpers),
    ).toMatchObject({ username: "user" });
    await expect(credentialsOf("b.io", { credsStore: "bad" }, helpers)).rejects.toMatchObject({
      code: "ERR_KILN_UNAUTHORIZED",
    });
    await expect(credentialsOf("b.io", { credsStore: "absent" }, helpers)).rejects.toThrow(
      /docker-credential-absent is not installed/,
    );
    await expect(credentialsOf("b.io", { credsStore: "../evil" }, helpers)).rejects.toThrow(
      /no name of a program/,
    );
  });

  it("answer anonymously and tell of the problem when a helper fails", async () => {
    const problems: unknown[] = [];
    const service = authService({
      credentials: () => credentialsOf("b.io", { credsStore: "absent" }),
      onProblem: (error) => problems.push(error),
    });
    const daemon = await daemonOf(service);
    const request = toBinary(CredentialsRequestSchema, create(CredentialsRequestSchema, { Host: "b.io" }));
    const answer = fromBinary(
      CredentialsResponseSchema,
      await unary(daemon, "/moby.filesync.v1.Auth/Credentials", request),
    );
    expect(answer).toMatchObject({ Username: "", Secret: "" });
    expect(problems).toHaveLength(1);
  });

  it("of one build come before the others, and are not covered up by them when they fail", async () => {
    const problems: string[] = [];
    const service = authService({
      credentials: (host) => Promise.resolve({ username: "client", secret: host }),
      own(host) {
        if (host === "own.io") return Promise.resolve({ username: "build", secret: "s" });
        if (host === "other.io") return Promise.resolve(undefined);
        throw new KilnError("ERR_KILN_SECRET_NOT_FOUND", "no password");
      },
      onProblem: (error, host) => problems.push(`${host}: ${error.message}`),
    });
    const daemon = await daemonOf(service);
    const ask = async (Host: string): Promise<string> => {
      const request = toBinary(CredentialsRequestSchema, create(CredentialsRequestSchema, { Host }));
      const answer = await unary(daemon, "/moby.filesync.v1.Auth/Credentials", request);
      return fromBinary(CredentialsResponseSchema, answer).Username;
    };
    expect(await ask("own.io")).toBe("build");
    expect(await ask("other.io")).toBe("client");
    expect(await ask("failing.io")).toBe("");
    expect(problems).toEqual(["failing.io: no password"]);
  });

  it("of one build make a key of their own, so that the daemon shares no token between builds", async () => {
    const keyOf = async (options: { readonly client?: string; readonly own?: string }): Promise<string> => {
      const login = (secret: string | undefined) => () =>
        Promise.resolve(secret === undefined ? undefined : { username: "me", secret });
      const daemon = await daemonOf(
        authService({
          credentials: login(options.client),
          own: login(options.own),
          tokens: { when: "authenticated", seeds: new TokenSeeds(join(dir, "seeds")) },
        }),
      );
      const request = create(GetTokenAuthorityRequestSchema, { Host: "a.io", Salt: Buffer.from("salt") });
      const answer = await unary(
        daemon,
        "/moby.filesync.v1.Auth/GetTokenAuthority",
        toBinary(GetTokenAuthorityRequestSchema, request),
      ).finally(() => {
        client?.close();
        sessionServer?.shutdown();
        server?.close();
      });
      return Buffer.from(fromBinary(GetTokenAuthorityResponseSchema, answer).PublicKey).toString("hex");
    };
    const ofClient = await keyOf({ client: "p1" });
    // Docker's: one for a machine and a registry, whatever the password.
    expect(await keyOf({ client: "p2" })).toBe(ofClient);
    const ofBuild = await keyOf({ own: "p1" });
    expect(ofBuild).not.toBe(ofClient);
    expect(await keyOf({ own: "p1", client: "p2" })).toBe(ofBuild);
    expect(await keyOf({ own: "p2" })).not.toBe(ofBuild);
    await expect(keyOf({})).rejects.toMatchObject({ code: 14 });
  });
});
