import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { connect, createServer as createPlainServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server, type TlsOptions } from "node:tls";
import { afterAll, beforeAll, expect, it } from "vitest";
import { local, marshal, merge, image as registryImage, type State, scratch } from "../../src/llb/index.js";
import {
  Client,
  localDir,
  ociTar,
  openLocalTree,
  registry as registryOutput,
  type SolveEvent,
} from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";
import { readRegistryImage } from "./support/registry-image.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-client-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const busybox = (): State => registryImage(`${registry()}/library/busybox:1.36`);
const shell = (script: string): string[] => ["/bin/sh", "-c", script];

describeEachEngine("a client of one's own definitions", ({ name, address }) => {
  let client: Client;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());

  async function files(state: State, options: Parameters<Client["solve"]>[1] = {}): Promise<string> {
    const out = mkdtempSync(join(dir, "out-"));
    await client.solve(marshal(state), { ...options, outputs: [localDir(out)] }).result;
    return out;
  }

  it("names every vertex that belongs to an op by the digest that the definition has for it", async () => {
    const built = merge([
      busybox()
        .run(shell(`echo ${name} > /a`))
        .root(),
      scratch().file((await import("../../src/llb/index.js")).mkfile("/b", "b")),
    ]);
    const definition = marshal(built);
    const known = new Set(definition.ops.map(({ digest }) => digest));
    const solve = client.solve(definition, { outputs: [ociTar(join(dir, `${name}.tar`))] });
    const events: SolveEvent[] = [];
    for await (const event of solve) events.push(event);
    await solve.result;
    const seen = new Map(
      events.flatMap((event) =>
        "name" in event && event.type !== "progress" ? [[event.vertex, event.name]] : [],
      ),
    );
    expect([...seen].filter(([digest]) => !known.has(digest)).map(([, title]) => title)).toEqual([
      "exporting to oci image format",
    ]);
    expect([...seen.keys()].filter((digest) => known.has(digest))).toHaveLength(4);
  });

  it("gives steps their secrets, as files and variables, and refuses the missing ones by name", async () => {
    const state = busybox()
      .run(shell('cat /run/secrets/file > /out; printf " %s" "$TOKEN" >> /out; ls /run/secrets >> /out'), {
        secrets: [
          { id: "f", target: "/run/secrets/file" },
          { id: "e", env: "TOKEN" },
        ],
        ignoreCache: true,
      })
      .root();
    const out = await files(state, {
      secrets: { f: "from-file", e: () => Promise.resolve("from-callback") },
    });
    expect(readFileSync(join(out, "out"), "utf8")).toBe("from-file from-callbackfile\n");
    const missing = client.solve(marshal(state), {
      secrets: { f: { env: "KILN_NO_SUCH_VARIABLE" }, e: "x" },
    }).result;
    await expect(missing).rejects.toMatchObject({ code: "ERR_KILN_SECRET_NOT_FOUND" });
    const large = client.solve(marshal(state), { secrets: { f: "x".repeat(512_001), e: "x" } }).result;
    await expect(large).rejects.toMatchObject({ code: "ERR_KILN_SECRET_TOO_LARGE" });
  });

  it("sends a local tree by name, narrowed by what the definition asks for, and refuses names it was not given", async () => {
    const tree = mkdtempSync(join(dir, "tree-"));
    mkdirSync(join(tree, "sub"));
    for (const path of ["a.py", "a_test.py", "sub/b.py", "ünïcödé.py", "skip.txt", "a, b.py"])
      writeFileSync(join(tree, path), path);
    const source = local("ctx", {
      includePatterns: ["**/*.py", "ünïcödé.py"],
      excludePatterns: ["*_test.py", "a, b.py"],
      localUniqueId: "u",
    });
    const out = await files(source, { trees: new Map([["ctx", openLocalTree(tree)]]) });
    expect(readdirSync(out, { recursive: true }).sort()).toEqual(["a.py", "sub", "sub/b.py", "ünïcödé.py"]);
    const refused = client.solve(marshal(local("other", { localUniqueId: "v" })), {
      trees: new Map(),
    }).result;
    // BuildKit 0.13 sometimes tells of its own cancelling in place of the reason for it.
    await expect(refused).rejects.toThrow(/no access allowed to dir "other"|context canceled/);
  });

  it("refuses an option that the daemon lacks before the solve, naming feature and versions", async () => {
    const facts = await client.facts();
    const device = busybox()
      .run(shell("true"), { cdiDevices: [{ name: "vendor.example/gpu=0" }] })
      .root();
    const solve = client.solve(marshal(device));
    if (facts.llbCaps.has("exec.meta.cdi") && facts.workers.some(({ devices }) => devices.length > 0)) {
      await solve.result;
      return;
    }
    await expect(solve.result).rejects.toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
    await expect(solve.result).rejects.toThrow(/exec\.meta\.cdi \(BuildKit 0\.13; needs 0\.20 or newer\)/);
  });

  it("refuses an entitlement that was not granted, and gives one that was", async () => {
    const state = busybox().run(shell("true"), { network: "host", ignoreCache: true }).root();
    await expect(client.solve(marshal(state)).result).rejects.toMatchObject({ code: "ERR_KILN_ENTITLEMENT" });
    await client.solve(marshal(state), { entitlements: ["network.host"] }).result;
  });

  it("runs several solves at once over one connection, each with its own session", async () => {
    const texts = Array.from({ length: 8 }, (_, index) => `solve ${index}`);
    const outs = await Promise.all(
      texts.map((text) =>
        files(
          busybox()
            .run(shell(`echo ${text} > /only`))
            .root(),
        ),
      ),
    );
    expect(outs.map((out) => readFileSync(join(out, "only"), "utf8"))).toEqual(
      texts.map((text) => `${text}\n`),
    );
  });

  it("stops the step and rejects with the signal's reason when aborted; the client goes on working", async () => {
    await client.solve(marshal(busybox())).result;
    // At once, and before and after the step has got a process, which takes some 30 ms.
    for (const afterMs of [0, 4, 8, 16, 24, 48]) {
      const controller = new AbortController();
      const state = busybox()
        .run(shell(`sleep 300; echo ${Date.now()}`))
        .root();
      const solve = client.solve(marshal(state), { signal: controller.signal });
      const ends: boolean[] = [];
      for await (const event of solve) {
        if (event.type === "vertex.started" && event.name.includes("sleep")) {
          const abort = (): void => controller.abort(new Error("enough"));
          if (afterMs === 0) abort();
          else setTimeout(abort, afterMs);
        }
        if (event.type === "vertex.failed") ends.push(event.canceled);
      }
      await expect(solve.result).rejects.toThrow("enough");
      expect(ends, `stopped after ${afterMs} ms`).toEqual([true]);
    }
    await client.solve(marshal(busybox())).result;
  });

  it("answers an aborted signal and a closed iterator at once", async () => {
    const solve = client.solve(marshal(busybox()), { signal: AbortSignal.abort(new Error("before")) });
    await expect(solve.result).rejects.toThrow("before");
    for await (const event of client.solve(marshal(busybox()))) {
      expect(event.type).toBeDefined();
      break;
    }
  });

  it("cancels while a credentials callback hangs", async () => {
    const controller = new AbortController();
    await using hanging = await Client.connect(address, {
      credentials: () => {
        controller.abort(new Error("given up"));
        return new Promise(() => {});
      },
    });
    const state = registryImage(`${registry()}/library/no-such-image-${Date.now()}:1`)
      .run(shell("true"))
      .root();
    const solve = hanging.solve(marshal(state), { signal: controller.signal });
    // A registry without authentication may never ask: then the image is simply not there.
    await expect(solve.result).rejects.toThrow(/given up|not found/);
  });
});

describeEachEngine("a BuildKit on a unix socket", ({ address }) => {
  it("is reached by unix://, with uncompressed layers pushed as such", async () => {
    const path = join(dir, `buildkitd-${Date.now()}.sock`);
    const server = createPlainServer((socket) => {
      const daemon = connect(address.replace("docker://", ""));
      socket.on("error", () => daemon.destroy());
      daemon.on("error", () => socket.destroy());
      upgrade(daemon, () => socket.pipe(daemon).pipe(socket));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      await using client = await Client.connect(`unix://${path}`);
      expect(await client.facts()).toMatchObject({ kind: "buildkitd", store: "buildkit" });
      const target = `${registry()}/client/unix:${Date.now()}`;
      const state = busybox().run(shell("echo plain > /plain")).root();
      const output = registryOutput(target, {
        compression: "uncompressed",
        forceCompression: true,
        ociMediaTypes: true,
      });
      const { outputs } = await client.solve(marshal(state), { outputs: [output] }).result;
      const pushed = await readRegistryImage(target);
      expect(outputs[0]?.digest).toBe(pushed.digest);
      expect(pushed.manifest.layers.map(({ mediaType }) => mediaType)).toEqual(
        pushed.manifest.layers.map(() => "application/vnd.oci.image.layer.v1.tar"),
      );
      expect(pushed.files.has("plain")).toBe(true);
    } finally {
      server.close();
    }
  });
});

describeEachEngine("TLS", ({ address }) => {
  let certificates: ReturnType<typeof makeCertificates>;
  const servers: Server[] = [];
  beforeAll(() => {
    certificates = makeCertificates(join(dir, `tls-${Date.now()}`));
  });
  afterAll(() => {
    for (const server of servers) server.close();
  });

  /** A TLS front of a daemon's socket: for `docker://` bytes are passed on, for `tcp://` after the upgrade to gRPC. */
  async function front(kind: "tcp" | "docker", options: TlsOptions): Promise<string> {
    const server = createServer(
      { ...options, ALPNProtocols: [kind === "tcp" ? "h2" : "http/1.1"] },
      (client) => {
        const daemon = connect(address.replace("docker://", ""));
        client.on("error", () => daemon.destroy());
        daemon.on("error", () => client.destroy());
        if (kind === "docker") client.pipe(daemon).pipe(client);
        else upgrade(daemon, () => client.pipe(daemon).pipe(client));
      },
    );
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    return `${kind}://localhost:${port}`;
  }

  it.each(["tcp", "docker"] as const)(
    "reaches a daemon over %s with a CA and a client certificate",
    async (kind) => {
      const { ca, cert, key, clientCert, clientKey } = certificates;
      const host = await front(kind, { cert, key, ca, requestCert: true, rejectUnauthorized: true });
      await using client = await Client.connect(host, { tls: { ca, cert: clientCert, key: clientKey } });
      expect((await client.facts()).workers).toHaveLength(1);
      await client.solve(marshal(busybox().run(shell("true")).root())).result;
      await using bare = await Client.connect(host, { tls: { ca } });
      await expect(bare.facts()).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_KILN_(TLS|CONNECT_FAILED)$/),
      });
    },
  );

  it("calls a daemon by the host of its address, or by the name that its certificate has", async () => {
    const { ca, cert, key } = certificates;
    const authorities: unknown[] = [];
    const listener = createSecureServer({ cert, key }, (request, response) => {
      authorities.push(request.authority);
      response.stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "12" });
      response.stream.end();
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const { port } = listener.address() as { port: number };
    try {
      for (const [host, serverName] of [["localhost"], ["127.0.0.1", "localhost"]] as const) {
        await using client = await Client.connect(`tcp://${host}:${port}`, { tls: { ca, serverName } });
        await expect(client.facts()).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_KILN_/) });
      }
    } finally {
      listener.close();
    }
    expect([...new Set(authorities)]).toEqual([`localhost:${port}`, "localhost"]);
    const address = (await front("tcp", { cert, key })).replace("localhost", "127.0.0.1");
    await using real = await Client.connect(address, { tls: { ca, serverName: "localhost" } });
    expect((await real.facts()).workers).toHaveLength(1);
  });

  it.each(["tcp", "docker"] as const)(
    "refuses a daemon over %s whose certificate it does not trust",
    async (kind) => {
      const host = await front(kind, { cert: certificates.cert, key: certificates.key });
      await using client = await Client.connect(host, { tls: { skipVerify: false } });
      await expect(client.facts()).rejects.toMatchObject({
        code: "ERR_KILN_TLS",
        hint: expect.stringContaining("CA"),
      });
    },
  );
});

function upgrade(daemon: Socket, then: () => void): void {
  daemon.write("POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  let head = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    daemon.off("data", onData);
    daemon.pause();
    if (head.length > end + 4) daemon.unshift(head.subarray(end + 4));
    then();
  };
  daemon.on("data", onData);
}

function makeCertificates(folder: string) {
  mkdirSync(folder, { recursive: true });
  const openssl = (...args: readonly string[]): void => {
    const { status, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
  };
  const days = ["-days", "2"];
  openssl(
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-subj",
    "/CN=kiln test CA",
    ...days,
  );
  writeFileSync(join(folder, "ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  for (const name of ["server", "client"]) {
    openssl(
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
      "-subj",
      `/CN=${name}`,
    );
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-out",
      `${name}.pem`,
      "-extfile",
      "ext",
      ...days,
    );
  }
  const read = (file: string): string => readFileSync(join(folder, file), "utf8");
  return {
    ca: read("ca.pem"),
    cert: read("server.pem"),
    key: read("server.key"),
    clientCert: read("client.pem"),
    clientKey: read("client.key"),
  };
}
