import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mediaTypes, sha256 } from "../../../src/oci/index.js";
import { parseChallenges } from "../../../src/oci/registry/challenge.js";
import { RegistryClient, type RegistryClientOptions } from "../../../src/oci/registry/registry-client.js";
import { type Authorize, RegistryConnection } from "../../../src/oci/registry/registry-connection.js";
import { registryEndpoints } from "../../../src/oci/registry/registry-endpoints.js";
import { cpuMilliseconds } from "../internal/cpu-time.js";
import { bodyOf, type FakeRegistry, fail, sendBytes, startFakeRegistry } from "./fake-registry.js";

const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, n: 1 }));
const blob = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
const digest = sha256(blob);

let registry: FakeRegistry;
const clients: RegistryClient[] = [];

beforeEach(async () => {
  registry = await startFakeRegistry();
  registry.manifests.set("app:1", { mediaType: mediaTypes.ociManifest, bytes: manifest });
  registry.manifests.set(`app@${sha256(manifest)}`, { mediaType: mediaTypes.ociManifest, bytes: manifest });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await registry[Symbol.asyncDispose]();
});

function connect(repository = "app", options: RegistryClientOptions = {}): RegistryClient {
  const client = new RegistryClient(`${registry.host}/${repository}`, { backoffMs: 1, ...options });
  clients.push(client);
  return client;
}

/** Compared by its text: a comparison of buffers takes a second. */
function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("latin1");
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

const methods = (): readonly string[] => registry.seen.map(({ method }) => method);

describe("manifests", () => {
  it("are described by tag and by digest", async () => {
    const client = connect();
    const expected = { digest: sha256(manifest), size: manifest.length, mediaType: mediaTypes.ociManifest };
    expect(await client.headManifest("1")).toEqual(expected);
    expect(await client.headManifest(sha256(manifest))).toEqual(expected);
    expect(await client.headManifest("2")).toBeUndefined();
    expect(await client.getManifest("1")).toEqual({ ...expected, bytes: manifest });
    expect(methods()).toEqual(["HEAD", "HEAD", "HEAD", "GET"]);
  });

  it("are read where the registry does not say their digest", async () => {
    registry.saysDigests = false;
    const found = await connect().headManifest("1");
    expect(found).toMatchObject({ digest: sha256(manifest), size: manifest.length });
    expect(methods()).toEqual(["HEAD", "GET"]);
  });

  it("that are others than was asked for are refused", async () => {
    registry.intercept = (request, response) => {
      response.writeHead(200, { "docker-content-digest": sha256("other"), "content-length": 5 });
      response.end(request.method === "HEAD" ? undefined : "other");
      return true;
    };
    const wanted = sha256(manifest);
    await expect(connect().headManifest(wanted)).rejects.toMatchObject({ code: "ERR_KILN_DIGEST_MISMATCH" });
    await expect(connect().getManifest(wanted)).rejects.toMatchObject({ code: "ERR_KILN_DIGEST_MISMATCH" });
  });

  it("whose content is not what their tag's digest says are refused", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "docker-content-digest": sha256("other") }).end(manifest);
      return true;
    };
    await expect(connect().getManifest("1")).rejects.toMatchObject({ code: "ERR_KILN_DIGEST_MISMATCH" });
  });

  it("are read up to a limit", async () => {
    let sent = 0;
    registry.intercept = (_request, response) => {
      response.writeHead(200);
      const pump = (): void => {
        while (response.writable && sent < 64 * 1024 * 1024) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) {
            response.once("drain", pump);
            return;
          }
        }
        response.end();
      };
      response.on("error", () => {});
      pump();
      return true;
    };
    await expect(connect().getManifest("1")).rejects.toMatchObject({ code: "ERR_KILN_LIMIT_EXCEEDED" });
    expect(sent).toBeLessThan(32 * 1024 * 1024);
    await expect(connect().getManifest("1", { limit: 10 })).rejects.toMatchObject({
      code: "ERR_KILN_LIMIT_EXCEEDED",
    });
  });

  it("that are missing are told from a repository that may not be seen", async () => {
    await expect(connect().getManifest("2")).rejects.toMatchObject({ code: "ERR_KILN_IMAGE_NOT_FOUND" });
    registry.intercept = (_request, response) => {
      fail(response, 403, "DENIED", "requested access to the resource is denied");
      return true;
    };
    await expect(connect().headManifest("1")).rejects.toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
  });

  it("are put under a tag, once more if need be", async () => {
    let tries = 0;
    registry.intercept = (request, response) => {
      if (request.method === "PUT") tries += 1;
      if (request.method !== "PUT" || tries > 1) return false;
      response.writeHead(503).end();
      return true;
    };
    const bytes = Buffer.from("{}");
    const put = await connect().putManifest("2", mediaTypes.ociIndex, bytes);
    expect(put).toEqual({ digest: sha256(bytes), size: 2, mediaType: mediaTypes.ociIndex });
    expect(registry.manifests.get("app:2")).toEqual({ mediaType: mediaTypes.ociIndex, bytes });
    expect(tries).toBe(2);
  });

  it("are not put where they are too large, or under another one's digest", async () => {
    const client = connect();
    const large = client.putManifest("2", mediaTypes.ociIndex, Buffer.alloc(5 * 1024 * 1024));
    await expect(large).rejects.toMatchObject({ code: "ERR_KILN_LIMIT_EXCEEDED" });
    const other = client.putManifest(sha256("other"), mediaTypes.ociIndex, Buffer.from("{}"));
    await expect(other).rejects.toMatchObject({ code: "ERR_KILN_DIGEST_MISMATCH" });
    expect(registry.seen).toEqual([]);
  });

  it("have refs that make no other URL", async () => {
    for (const ref of ["../../other/manifests/1", "a?b", "a#b", "", "sha256:../x"]) {
      await expect(connect().headManifest(ref)).rejects.toMatchObject({ code: "ERR_KILN_INVALID_REFERENCE" });
    }
    expect(registry.seen).toEqual([]);
  });
});

describe("failures", () => {
  it("that may go away are tried again, a few times", async () => {
    let tries = 0;
    registry.intercept = (request, response) => {
      tries += 1;
      if (tries === 1) request.socket.destroy();
      else if (tries === 2) response.writeHead(500).end();
      else if (tries === 3) response.writeHead(429, { "retry-after": "0" }).end();
      return tries < 4;
    };
    expect(await connect().headManifest("1")).toMatchObject({ digest: sha256(manifest) });
    tries = 0;
    const less = connect("app", { retries: 2 }).headManifest("1");
    await expect(less).rejects.toMatchObject({
      code: "ERR_KILN_RPC",
      message: expect.stringContaining("429"),
    });
    expect(tries).toBe(3);
  });

  it("of connections that the server closed meanwhile count for nothing", async () => {
    const used = new WeakSet<object>();
    registry.intercept = (request) => {
      if (used.has(request.socket)) request.socket.destroy();
      used.add(request.socket);
      return request.socket.destroyed;
    };
    const client = connect("app", { retries: 0 });
    for (let times = 0; times < 3; times += 1) expect(await client.headManifest("1")).toBeDefined();
    expect(registry.seen).toHaveLength(5);
  });

  it("are waited for as long as the server asks, but not for ever", async () => {
    let tries = 0;
    let after = "1";
    registry.intercept = (_request, response) => {
      tries += 1;
      if (tries > 1) return false;
      response.writeHead(429, { "retry-after": after }).end();
      return true;
    };
    const began = performance.now();
    await connect().headManifest("1");
    expect(performance.now() - began).toBeGreaterThan(950);
    tries = 0;
    after = "3600";
    await expect(connect().headManifest("1")).rejects.toMatchObject({
      message: expect.stringContaining("asks to wait 3600 s"),
    });
    expect(tries).toBe(1);
  });

  it("that will not go away are not tried again", async () => {
    registry.intercept = (_request, response) => {
      fail(response, 400, "MANIFEST_INVALID", "no\u001b[31m such\nthing");
      return true;
    };
    const client = connect();
    await client.headBlob(digest).catch(() => {});
    registry.seen.length = 0;
    await expect(client.getManifest("1")).rejects.toMatchObject({
      code: "ERR_KILN_RPC",
      message: `${registry.host}/app: GET 1: the registry answers 400: MANIFEST_INVALID: no [31m such thing`,
    });
    expect(registry.seen).toHaveLength(1);
  });

  it("of a registry that is not there say so at once", async () => {
    const host = registry.host;
    await registry[Symbol.asyncDispose]();
    const client = new RegistryClient(`${host}/app`);
    await expect(client.headManifest("1")).rejects.toMatchObject({ code: "ERR_KILN_CONNECT_FAILED" });
    registry = await startFakeRegistry();
  });

  it("of something that is no registry are clear", async () => {
    const server = createTcp((socket) => {
      socket.on("error", () => {});
      socket.end("SSH-2.0-OpenSSH\r\n");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const client = new RegistryClient(`127.0.0.1:${port}/app`, { retries: 0 });
    await expect(client.headManifest("1")).rejects.toMatchObject({ code: "ERR_KILN_PROTOCOL" });
    server.close();
  });

  it("of headers without end are refused", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "x-long": "x".repeat(64 * 1024) }).end();
      return true;
    };
    await expect(connect().headManifest("1")).rejects.toMatchObject({ code: "ERR_KILN_LIMIT_EXCEEDED" });
  });

  it("of a server that says nothing end", async () => {
    registry.intercept = () => true;
    const client = connect("app", { idleMs: 50, retries: 1 });
    await expect(client.headManifest("1")).rejects.toMatchObject({ code: "ERR_KILN_CONNECTION_LOST" });
    expect(registry.seen).toHaveLength(2);
  });

  it("end with the signal's reason", async () => {
    registry.intercept = () => true;
    const stop = new AbortController();
    const wanted = connect().headManifest("1", { signal: stop.signal });
    setTimeout(() => stop.abort(new Error("enough")), 20);
    await expect(wanted).rejects.toThrow("enough");
    await expect(connect().headManifest("1", { signal: stop.signal })).rejects.toThrow("enough");
  });
});

describe("logins", () => {
  const password = "correct-horse-battery";
  const basic = `Basic ${Buffer.from(`me:${password}`).toString("base64")}`;

  /** Lets in whoever has the header; challenges all others. */
  function guard(challenge: string, wanted: () => string): void {
    registry.intercept = (request, response) => {
      if (request.headers.authorization === wanted()) return false;
      response.writeHead(401, { "www-authenticate": challenge, "content-type": "application/json" });
      const echo = `no access with ${request.headers.authorization ?? "nothing"} (${password})`;
      response.end(JSON.stringify({ errors: [{ code: "UNAUTHORIZED", message: echo }] }));
      return true;
    };
  }

  it("by name and password are asked for once", async () => {
    guard('Basic realm="here"', () => basic);
    const asked: unknown[] = [];
    const authorize: Authorize = async ({ scheme, parameters }, request) => {
      asked.push({ scheme, realm: parameters.get("realm"), ...request });
      return basic;
    };
    const client = connect("app", { authorize });
    expect(await client.headManifest("1")).toBeDefined();
    expect(await client.headManifest("1")).toBeDefined();
    expect(asked).toEqual([
      {
        ...{ scheme: "basic", realm: "here", host: registry.host, secure: false },
        ...{ scopes: ["repository:app:pull"], refused: undefined, signal: undefined },
      },
    ]);
    expect(registry.seen.map(({ authorization }) => authorization)).toEqual([undefined, basic, basic]);
  });

  it("by token are renewed when one is refused, and are each for what is done", async () => {
    let current = "t1";
    guard(
      'Bearer realm="https://auth.example/token",service="s",scope="x", Basic realm="y"',
      () => `Bearer ${current}`,
    );
    const asked: (readonly [string, readonly string[], string | undefined])[] = [];
    const authorize: Authorize = async ({ scheme }, { scopes, refused }) => {
      asked.push([scheme, scopes, refused]);
      return `Bearer ${current}`;
    };
    const client = connect("team/app", { authorize });
    expect(await client.headManifest("1")).toBeUndefined();
    current = "t2";
    expect(await client.headManifest("1")).toBeUndefined();
    await client.uploadBlob({ digest, size: blob.length }, () => chunked(blob));
    expect(asked).toEqual([
      ["bearer", ["repository:team/app:pull"], undefined],
      ["bearer", ["repository:team/app:pull"], "Bearer t1"],
      ["bearer", ["repository:team/app:pull,push"], undefined],
    ]);
  });

  it("that are refused, missing or unknown are errors without a secret", async () => {
    guard('Basic realm="here"', () => "nobody");
    for (const authorize of [async () => basic, async () => undefined, async () => "Basic a\nb", undefined]) {
      const error = await connect("app", { authorize })
        .getManifest("1")
        .catch((reason: unknown) => reason as Error & { hint?: string });
      expect(error).toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
      const said = JSON.stringify([error, (error as Error).message, (error as Error).stack]);
      expect(said).not.toContain(basic.slice(6));
      expect(said).not.toContain(password);
    }
    guard("Negotiate abc", () => "nobody");
    await expect(connect().headManifest("1")).rejects.toMatchObject({ code: "ERR_KILN_PROTOCOL" });
  });

  it("never go to where the registry redirects to", async () => {
    registry.blobs.set(`app@${digest}`, blob);
    const seen: (string | undefined)[] = [];
    const storage = createServer((request, response) => {
      seen.push(request.headers.authorization);
      sendBytes(request, response, blob);
    });
    await new Promise<void>((resolve) => storage.listen(0, "127.0.0.1", resolve));
    const { port } = storage.address() as AddressInfo;
    registry.intercept = (request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { "www-authenticate": "Basic realm=r" }).end();
      } else if (request.url?.includes("/blobs/") === true) {
        response.writeHead(307, { location: `http://me:secret@127.0.0.1:${port}/x?signature=1` }).end();
      } else return false;
      return true;
    };
    const client = connect("app", { authorize: async () => basic });
    expect(await collect(client.readBlob(digest, { start: 10, end: 20 }))).toBe(
      textOf(blob.subarray(10, 20)),
    );
    expect(seen).toEqual([undefined]);
    storage.closeAllConnections();
    storage.close();
  });

  it("are not made with a server that the registry redirects to", async () => {
    const asked: unknown[] = [];
    const storage = createServer((_request, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="give me"' }).end();
    });
    await new Promise<void>((resolve) => storage.listen(0, "127.0.0.1", resolve));
    const { port } = storage.address() as AddressInfo;
    registry.intercept = (_request, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${port}/x` }).end();
      return true;
    };
    const authorize: Authorize = async () => {
      asked.push(1);
      return basic;
    };
    const read = collect(connect("app", { authorize }).readBlob(digest));
    await expect(read).rejects.toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
    expect(asked).toEqual([]);
    storage.closeAllConnections();
    storage.close();
  });
});

describe("challenges", () => {
  it("are read as RFC 9110 has them", () => {
    const header =
      'Bearer realm="https://a/t",service="r \\"q\\", x" , scope="repository:a:pull,push", Basic realm=plain, Negotiate';
    expect(parseChallenges(header)).toEqual([
      {
        scheme: "bearer",
        parameters: new Map([
          ["realm", "https://a/t"],
          ["service", 'r "q", x'],
          ["scope", "repository:a:pull,push"],
        ]),
      },
      { scheme: "basic", parameters: new Map([["realm", "plain"]]) },
      { scheme: "negotiate", parameters: new Map() },
    ]);
    expect(parseChallenges("")).toEqual([]);
    expect(parseChallenges('"=,=')).toEqual([]);
  });

  it("are read in no more than linear time", () => {
    const took = cpuMilliseconds(() => {
      for (const part of ['a="', "\\", "a=", " ", ",", "a ", 'x="\\'])
        parseChallenges(`Basic ${part.repeat(20_000)}`);
    });
    expect(took).toBeLessThan(1_000);
  });
});

async function* chunked(bytes: Buffer, size = 30_000): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe("uploads", () => {
  const descriptor = { digest, size: blob.length };
  const stored = (): string | undefined => textOf(registry.blobs.get(`app@${digest}`));

  it("send a file or a stream in one piece, and nothing that is there", async () => {
    const dir = mkdtempSync(join(tmpdir(), "kiln-upload-"));
    const file = join(dir, "blob");
    writeFileSync(file, blob);
    const client = connect();
    expect(await client.uploadBlob(descriptor, file)).toBe("uploaded");
    expect(stored()).toBe(textOf(blob));
    expect(methods()).toEqual(["HEAD", "POST", "PUT"]);
    expect(await client.uploadBlob(descriptor, join(dir, "missing"))).toBe("exists");
    registry.blobs.clear();
    expect(await client.uploadBlob(descriptor, () => chunked(blob))).toBe("uploaded");
    expect(stored()).toBe(textOf(blob));
    registry.blobs.clear();
    await expect(client.uploadBlob(descriptor, join(dir, "missing"))).rejects.toMatchObject({
      code: "ERR_KILN_FILE_UNREADABLE",
    });
    expect(await client.uploadBlob({ digest: sha256(""), size: 0 }, () => chunked(Buffer.alloc(0)))).toBe(
      "uploaded",
    );
    rmSync(dir, { recursive: true });
  });

  it("mount a blob of another repository, and send it where that is not to be had", async () => {
    registry.blobs.set(`base@${digest}`, blob);
    const client = connect();
    expect(await client.uploadBlob(descriptor, () => chunked(blob), { mountFrom: "base" })).toBe("mounted");
    expect(stored()).toBe(textOf(blob));
    expect(await client.mountBlob(digest, "base")).toBe(true);
    registry.blobs.clear();
    registry.seen.length = 0;
    expect(await client.uploadBlob(descriptor, () => chunked(blob), { mountFrom: "base" })).toBe("uploaded");
    // The upload that the registry began in place of the mount is ended.
    expect(methods()).toEqual(["HEAD", "POST", "DELETE", "POST", "PUT"]);
    await expect(client.mountBlob(digest, "../x")).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_REFERENCE",
    });
  });

  it("begin anew after a broken connection", async () => {
    let puts = 0;
    registry.intercept = async (request) => {
      if (request.method === "PUT") puts += 1;
      if (request.method !== "PUT" || puts > 1) return false;
      for await (const chunk of request) {
        expect(chunk).toBeDefined();
        request.socket.destroy();
      }
      return true;
    };
    expect(await connect().uploadBlob(descriptor, () => chunked(blob))).toBe("uploaded");
    expect(stored()).toBe(textOf(blob));
    expect(methods()).toEqual(["HEAD", "POST", "PUT", "HEAD", "POST", "PUT"]);
  });

  it("notice that all had been said when the connection broke", async () => {
    registry.intercept = async (request) => {
      if (request.method !== "PUT") return false;
      registry.blobs.set(`app@${digest}`, await bodyOf(request));
      request.socket.destroy();
      return true;
    };
    expect(await connect().uploadBlob(descriptor, () => chunked(blob))).toBe("uploaded");
    expect(methods()).toEqual(["HEAD", "POST", "PUT", "HEAD"]);
  });

  it("go in chunks where the registry does not take one piece", async () => {
    const large = Buffer.alloc(40 * 1024 * 1024, "kiln");
    const big = { digest: sha256(large), size: large.length };
    registry.intercept = (request, response) => {
      if (request.method !== "PUT" || Number(request.headers["content-length"]) === 0) return false;
      fail(response, 413, "SIZE_INVALID", "too large for the proxy");
      return true;
    };
    expect(await connect().uploadBlob(big, () => chunked(large, 1_000_003))).toBe("uploaded");
    expect(registry.blobs.get(`app@${big.digest}`)?.equals(large)).toBe(true);
    const mib16 = 16 * 1024 * 1024;
    expect(registry.seen.flatMap(({ contentRange }) => contentRange ?? [])).toEqual([
      `0-${mib16 - 1}`,
      `${mib16}-${2 * mib16 - 1}`,
      `${2 * mib16}-${large.length - 1}`,
    ]);
  });

  it("go in chunks where one piece breaks again and again", async () => {
    registry.intercept = (request) => {
      if (request.method !== "PUT" || Number(request.headers["content-length"]) === 0) return false;
      request.socket.destroy();
      return true;
    };
    expect(await connect().uploadBlob(descriptor, () => chunked(blob))).toBe("uploaded");
    expect(stored()).toBe(textOf(blob));
  });

  it("refuse a source of another size or content", async () => {
    const client = connect("app", { retries: 0 });
    for (const wrong of [blob.subarray(1), Buffer.concat([blob, Buffer.from("x")])]) {
      await expect(client.uploadBlob(descriptor, () => chunked(wrong))).rejects.toMatchObject({
        code: "ERR_KILN_FILE_CHANGED",
      });
    }
    const flipped = Buffer.from(blob);
    flipped[5] = 255;
    await expect(client.uploadBlob(descriptor, () => chunked(flipped))).rejects.toMatchObject({
      code: "ERR_KILN_DIGEST_MISMATCH",
    });
    expect(stored()).toBeUndefined();
  });

  it("end with the signal", async () => {
    registry.intercept = (request) => request.method === "PUT";
    const stop = new AbortController();
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        for (;;) yield Buffer.alloc(64 * 1024);
      } finally {
        closed = true;
      }
    }
    const upload = connect().uploadBlob({ digest, size: 2 ** 40 }, () => endless(), { signal: stop.signal });
    setTimeout(() => stop.abort(new Error("enough")), 50);
    await expect(upload).rejects.toThrow("enough");
    await expect.poll(() => closed).toBe(true);
  });
});

describe("blobs", () => {
  beforeEach(() => {
    registry.blobs.set(`app@${digest}`, blob);
  });

  it("are read whole and in parts", async () => {
    const client = connect();
    expect(await client.headBlob(digest)).toEqual({ size: blob.length });
    expect(await client.headBlob(sha256("other"))).toBeUndefined();
    expect(await collect(client.readBlob(digest))).toBe(textOf(blob));
    expect(await collect(client.readBlob(digest, { size: blob.length }))).toBe(textOf(blob));
    expect(await collect(client.readBlob(digest, { start: 99_990 }))).toBe(textOf(blob.subarray(99_990)));
    expect(await collect(client.readBlob(digest, { start: 5, end: 5 }))).toBe(textOf(Buffer.alloc(0)));
    expect(await collect(client.readBlob(digest, { end: 7 }))).toBe(textOf(blob.subarray(0, 7)));
    const past = collect(client.readBlob(digest, { start: 99_990, end: 100_010 }));
    await expect(past).rejects.toMatchObject({ code: "ERR_KILN_TRUNCATED" });
    const missing = collect(client.readBlob(sha256("other")));
    await expect(missing).rejects.toMatchObject({ code: "ERR_KILN_BLOB_NOT_FOUND" });
  });

  it("are cut out of an answer that knows no ranges", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200).end(blob);
      return true;
    };
    const part = await collect(connect().readBlob(digest, { start: 70_000, end: 70_010 }));
    expect(part).toBe(textOf(blob.subarray(70_000, 70_010)));
  });

  it("are read on where the connection broke", async () => {
    let answers = 0;
    registry.intercept = (request, response) => {
      answers += 1;
      if (answers > 3) return false;
      const from = Number(/=(\d+)-/.exec(request.headers.range ?? "=0-")?.[1]);
      response.writeHead(from === 0 ? 200 : 206, {
        "content-length": blob.length - from,
        ...(from === 0 ? {} : { "content-range": `bytes ${from}-${blob.length - 1}/${blob.length}` }),
      });
      response.write(blob.subarray(from, from + 20_000), () => request.socket.destroy());
      return true;
    };
    expect(await collect(connect().readBlob(digest))).toBe(textOf(blob));
    const ranges = registry.seen.map(({ range }) => range);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.slice(1).every((range) => /^bytes=\d+-$/.test(range ?? ""))).toBe(true);
  });

  it("that break without end are given up", async () => {
    registry.intercept = (request, response) => {
      response.writeHead(200, { "content-length": blob.length });
      response.write("", () => request.socket.destroy());
      response.flushHeaders();
      return true;
    };
    await expect(collect(connect().readBlob(digest))).rejects.toMatchObject({
      code: "ERR_KILN_CONNECTION_LOST",
    });
  });

  it("that are damaged, too short, too long or another range are refused", async () => {
    const answer = (bytes: Buffer, headers: Readonly<Record<string, string>> = {}, status = 200): void => {
      registry.intercept = (_request, response) => {
        response.writeHead(status, headers).end(bytes);
        return true;
      };
    };
    const flipped = Buffer.from(blob);
    flipped[50_000] = 255;
    answer(flipped);
    await expect(collect(connect().readBlob(digest))).rejects.toMatchObject({
      code: "ERR_KILN_DIGEST_MISMATCH",
    });
    answer(blob.subarray(0, 10));
    await expect(collect(connect().readBlob(digest, { size: blob.length }))).rejects.toMatchObject({
      code: "ERR_KILN_TRUNCATED",
    });
    answer(Buffer.concat([blob, blob]));
    expect(await collect(connect().readBlob(digest, { size: blob.length }))).toBe(textOf(blob));
    answer(blob.subarray(0, 10), { "content-range": "bytes 0-9/100000" }, 206);
    await expect(collect(connect().readBlob(digest, { start: 10, end: 20 }))).rejects.toMatchObject({
      code: "ERR_KILN_PROTOCOL",
    });
  });

  it("are not looked for along endless redirects", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(307, { location: "/v2/again" }).end();
      return true;
    };
    await expect(collect(connect().readBlob(digest))).rejects.toMatchObject({
      code: "ERR_KILN_LIMIT_EXCEEDED",
    });
    expect(registry.seen).toHaveLength(6);
    registry.intercept = (_request, response) => {
      response.writeHead(307, { location: "file:///etc/passwd" }).end();
      return true;
    };
    await expect(collect(connect().readBlob(digest))).rejects.toMatchObject({ code: "ERR_KILN_PROTOCOL" });
  });

  it("that are left early are read no further", async () => {
    const client = connect();
    for await (const chunk of client.readBlob(digest)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(await client.headBlob(digest)).toBeDefined();
  });
});

describe("the scheme", () => {
  it("is plain HTTP on this machine alone, or where it is insecure", () => {
    const tried = (domain: string, insecure = false): readonly string[] =>
      registryEndpoints(domain, insecure).map(
        ({ origin, checked }) => `${origin}${checked ? "" : " (unchecked)"}`,
      );
    expect(tried("docker.io")).toEqual(["https://registry-1.docker.io"]);
    expect(tried("ghcr.io")).toEqual(["https://ghcr.io"]);
    expect(tried("localhost.example")).toEqual(["https://localhost.example"]);
    expect(tried("127.0.0.1.example:80")).toEqual(["https://127.0.0.1.example:80"]);
    for (const host of ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.9.1", "[::1]:5000"]) {
      expect(tried(host)).toEqual([`http://${host} (unchecked)`, `https://${host} (unchecked)`]);
    }
    expect(tried("10.0.0.1:5000", true)).toEqual([
      "https://10.0.0.1:5000 (unchecked)",
      "http://10.0.0.1:5000 (unchecked)",
    ]);
  });

  it("is never left for plain HTTP", () => {
    const subject = { repository: "ghcr.io/app", what: "upload", isBlob: true };
    const from = new URL("https://ghcr.io/v2/app/blobs/uploads/");
    const lead = (location: string, insecure: boolean): string =>
      new RegistryConnection("ghcr.io", { insecure }).resolve(location, from, subject).href;
    expect(lead("/v2/x?y", false)).toBe("https://ghcr.io/v2/x?y");
    expect(lead("https://u:p@storage.example/x", false)).toBe("https://storage.example/x");
    expect(() => lead("http://ghcr.io/v2/x", false)).toThrow(
      expect.objectContaining({ code: "ERR_KILN_PROTOCOL" }),
    );
    expect(lead("http://ghcr.io/v2/x", true)).toBe("http://ghcr.io/v2/x");
  });
});
