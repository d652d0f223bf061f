import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createPrivateKey, createSign, type KeyObject, randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createPlainServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { marshal, mkfile, image as registryImage, scratch } from "../../src/llb/index.js";
import { ensurePackages, PACKAGE_SETS } from "../../src/provision/index.js";
import { Client, localDir, registry as registryOutput, type SolveEvent } from "../../src/solver/index.js";
import { describeEachEngine } from "./support/engines.js";

const prefix = fileURLToPath(new URL("../../.kiln", import.meta.url));
const user = "kiln";
const password = `pass-${randomUUID()}`;

let dir: string;
let host: string;
let registryProcess: ChildProcess | undefined;
let tokens: Server | undefined;
/** How the token server was asked, without passwords. */
const asked: { readonly method: string; readonly known: boolean; readonly scopes: readonly string[] }[] = [];

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createPlainServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

/** A token as the registry takes it: signed with the key of the certificate that it trusts. */
function signToken(key: KeyObject, certificate: string, scopes: readonly string[]): string {
  const now = Math.floor(Date.now() / 1000);
  const access = scopes.map((scope) => {
    const [type = "", name = "", actions = ""] = scope.split(":");
    return { type, name, actions: actions.split(",") };
  });
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const head = encode({ typ: "JWT", alg: "RS256", x5c: [certificate] });
  const body = encode({
    ...{ iss: "kiln-test", sub: user, aud: "kiln-registry", jti: randomUUID() },
    ...{ exp: now + 300, nbf: now - 10, iat: now, access },
  });
  const signature = createSign("RSA-SHA256").update(`${head}.${body}`).sign(key).toString("base64url");
  return `${head}.${body}.${signature}`;
}

function serveTokens(key: KeyObject, certificate: string): Promise<Server> {
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => {
      text += String(chunk);
    });
    request.on("end", () => {
      const form = new URLSearchParams(text);
      const url = new URL(request.url ?? "", "http://x");
      const basic = Buffer.from(request.headers.authorization?.slice(6) ?? "", "base64").toString();
      const known =
        request.method === "POST"
          ? form.get("username") === user && form.get("password") === password
          : basic === `${user}:${password}`;
      const scopes =
        request.method === "POST" ? (form.get("scope") ?? "").split(" ") : url.searchParams.getAll("scope");
      asked.push({ method: request.method ?? "", known, scopes });
      if (!known) {
        response.writeHead(401).end("{}");
        return;
      }
      const token = signToken(key, certificate, scopes);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ token, access_token: token, expires_in: 300 }));
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-auth-"));
  const [keyFile, certFile] = [join(dir, "key.pem"), join(dir, "cert.pem")];
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kiln-test"],
    ...["-keyout", keyFile, "-out", certFile],
  ]);
  expect(made.status, String(made.stderr)).toBe(0);
  const pem = readFileSync(certFile, "utf8");
  const certificate = pem.replaceAll(/-----[A-Z ]+-----|\s/g, "");
  tokens = await serveTokens(createPrivateKey(readFileSync(keyFile, "utf8")), certificate);
  const port = await freePort();
  host = `127.0.0.1:${port}`;
  const config = join(dir, "config.yml");
  const realm = `http://127.0.0.1:${(tokens.address() as { port: number }).port}/token`;
  writeFileSync(
    config,
    `version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: ${join(dir, "data")}}}
http: {addr: "127.0.0.1:${port}", secret: kiln}
auth: {token: {realm: "${realm}", service: kiln-registry, issuer: kiln-test, rootcertbundle: ${certFile}}}
`,
  );
  const { root } = await ensurePackages(PACKAGE_SETS.registry, { prefix });
  registryProcess = spawn(join(root, "usr/bin/docker-registry"), ["serve", config], { stdio: "ignore" });
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(`http://${host}/v2/`).catch(() => undefined);
    if (answer?.status === 401) break;
    if (tries > 100) throw new Error("the registry does not come up");
    await delay(100);
  }
}, 60_000);

afterAll(() => {
  registryProcess?.kill();
  tokens?.close();
  rmSync(dir, { recursive: true, force: true });
});

describeEachEngine("a registry that wants tokens", ({ name, address }) => {
  const connect = (
    secret: string,
    clientTokens: "authenticated" | "never",
    env: Readonly<Record<string, string>> = { DOCKER_CONFIG: join(dir, `docker-${name}-${clientTokens}`) },
  ): Promise<Client> =>
    Client.connect(address, {
      env,
      clientTokens,
      credentials: (registryHost) =>
        Promise.resolve(registryHost === host ? { username: user, secret } : undefined),
    });

  for (const clientTokens of ["authenticated", "never"] as const) {
    it(`is pushed to and pulled from with tokens of ${clientTokens === "never" ? "the daemon" : "the client"}`, async () => {
      await using client = await connect(password, clientTokens);
      asked.length = 0;
      const ref = `${host}/private/${name}-${clientTokens}:${Date.now()}`;
      const content = `private ${ref}`;
      const everything: unknown[] = [];
      const push = client.solve(marshal(scratch().file(mkfile("/a", content))), {
        outputs: [registryOutput(ref)],
      });
      for await (const event of push) everything.push(event satisfies SolveEvent);
      everything.push(await push.result, await client.history({ ref: push.ref }));
      expect(asked.length).toBeGreaterThan(0);
      expect(asked.at(-1)).toMatchObject({ known: true });
      expect(asked.flatMap(({ scopes }) => scopes).join(" ")).toContain("push");
      const out = mkdtempSync(join(dir, "pulled-"));
      await client.prune({ all: true });
      await client.solve(marshal(registryImage(ref)), { outputs: [localDir(out)] }).result;
      expect(readFileSync(join(out, "a"), "utf8")).toBe(content);
      const text = JSON.stringify(everything, (_key, value: unknown) =>
        typeof value === "bigint" ? String(value) : value,
      );
      expect(text).not.toContain(password);
      // Only a client that fetches tokens makes seeds for the key that it proves itself with.
      const seeds = join(dir, `docker-${name}-${clientTokens}`, ".token_seed");
      expect(existsSync(seeds)).toBe(clientTokens === "authenticated");
    });

    it(`refuses a wrong password clearly, once and without it (${clientTokens})`, async () => {
      const wrong = `wrong-${randomUUID()}`;
      await using client = await connect(wrong, clientTokens);
      const solve = client.solve(marshal(scratch().file(mkfile("/a", "a"))), {
        outputs: [registryOutput(`${host}/private/refused-${name}:1`)],
      });
      const events: SolveEvent[] = [];
      for await (const event of solve) events.push(event);
      const error = await solve.result.catch((reason: unknown) => reason as Error & { hint?: string });
      expect(error).toMatchObject({
        code: "ERR_KILN_UNAUTHORIZED",
        hint: expect.stringContaining("ocker login"),
      });
      const said = `${(error as Error).stack} ${(error as Error).message} ${JSON.stringify(events)}`;
      expect(said).not.toContain(wrong);
    });
  }

  it("tells who is not logged in at all", async () => {
    await using client = await Client.connect(address, { env: { DOCKER_CONFIG: join(dir, "none") } });
    const solve = client.solve(marshal(registryImage(`${host}/private/nobody:1`)));
    await expect(solve.result).rejects.toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
  });
});
