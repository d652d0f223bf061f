import { createPrivateKey, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { marshal, mkfile, image as registryImage, scratch } from "../../src/llb/index.js";
import { engineUp, type RunningEngine, registryUp } from "../../src/provision/index.js";
import { Client, localDir, registry as registryOutput, type SolveEvent } from "../../src/solver/index.js";
import { makeAuthority, makeServerCertificate } from "./support/certificates.js";
import { describeEachEngine, engines } from "./support/engines.js";
import { htpasswdLine } from "./support/htpasswd.js";
import { type OwnPrefix, ownPrefix } from "./support/own-prefix.js";
import { startTokenServer, type TokenServer, tokenNames } from "./support/token-server.js";
import { filesWith, formsOf } from "./support/traces.js";

const username = "kiln";
// Characters that forms, URLs and base64 write differently.
const password = `p?>~:${randomUUID()}:ä/+`;
const wrongPassword = `w?>~:${randomUUID()}:ä/+`;

/** Docker takes registries on loopback for insecure ones, whose certificates do not count. The engines' bridge is none. */
const address =
  Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === "IPv4" && !one.internal)?.address ?? "";

type Scheme = "htpasswd" | "token";

let dir: string;
let ca: string;
let tokens: TokenServer;
const prefixes: OwnPrefix[] = [];
const hosts: Partial<Record<Scheme, string>> = {};
const running: RunningEngine[] = [];
/** All that this side was told: events, answers, errors, history. */
const told: string[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-tls-"));
  const authority = makeAuthority(dir, "authority");
  ca = readFileSync(authority.cert, "utf8");
  const server = makeServerCertificate(dir, "registry", { authority, address });
  const tls = { ...server, ca: authority.cert };
  const signer = makeAuthority(dir, "signer");
  tokens = await startTokenServer({
    ...{ username, password, listenOn: address },
    key: createPrivateKey(readFileSync(signer.key, "utf8")),
    certificate: readFileSync(signer.cert, "utf8"),
    tls: { cert: readFileSync(server.cert, "utf8"), key: readFileSync(server.key, "utf8") },
  });
  const passwords = join(dir, "htpasswd");
  writeFileSync(passwords, htpasswdLine(username, password));
  const auth = {
    htpasswd: { kind: "htpasswd", file: passwords },
    token: { kind: "token", ...tokenNames, realm: tokens.realm, certificates: signer.cert },
  } as const;
  for (const scheme of ["htpasswd", "token"] as const) {
    const own = ownPrefix();
    prefixes.push(own);
    const { host } = await registryUp({ prefix: own.path, listenOn: address, tls, auth: auth[scheme] });
    hosts[scheme] = host;
  }
  const own = ownPrefix();
  prefixes.push(own);
  for (const { name } of engines()) {
    const env = { SSL_CERT_FILE: authority.cert };
    const kind = name === "older" ? "older" : "modern";
    running.push(await engineUp({ prefix: own.path, kind, env, settings: { debug: true } }));
  }
});

afterAll(async () => {
  tokens?.close();
  for (const own of prefixes) await own.remove();
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
});

function connect(
  to: string,
  scheme: Scheme,
  options: {
    readonly secret?: string;
    readonly clientTokens?: "authenticated" | "never";
    readonly trusts?: boolean;
  } = {},
): Promise<Client> {
  const { secret = password, clientTokens = "authenticated", trusts = true } = options;
  const host = hosts[scheme] ?? "";
  return Client.connect(to, {
    env: { DOCKER_CONFIG: join(dir, "docker") },
    clientTokens,
    ...(trusts ? { registryTls: { [host]: { ca } } } : {}),
    credentials: (asked) => Promise.resolve(asked === host ? { username, secret } : undefined),
  });
}

function note(value: unknown): void {
  const text = JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === "bigint") return String(part);
    if (part instanceof Error) {
      const { name, message, stack, cause } = part;
      return { ...part, name, message, stack, cause };
    }
    return part instanceof Uint8Array ? Buffer.from(part).toString("latin1") : part;
  });
  told.push(text);
}

/** Solves, notes all that is said, and returns how it ended. */
async function solved(client: Client, ...args: Parameters<Client["solve"]>): Promise<unknown> {
  const solve = client.solve(...args);
  const events: SolveEvent[] = [];
  for await (const event of solve) events.push(event);
  const end = await solve.result.catch((error: unknown) => error);
  note([events, end, await client.history({ ref: solve.ref })]);
  return end;
}

const made = (content: string) => marshal(scratch().file(mkfile("/a", content)));

describe("a registry with TLS of a private authority", () => {
  const cases = [
    ["htpasswd", "authenticated"],
    ["token", "authenticated"],
    ["token", "never"],
  ] as const;

  for (const [index, { name }] of engines().entries()) {
    for (const [scheme, clientTokens] of cases) {
      const title =
        scheme === "htpasswd"
          ? "a password"
          : `tokens, fetched by ${clientTokens === "never" ? "the daemon" : "the client"}`;

      it(`is pushed to and pulled from with ${title} (${name})`, async () => {
        await using client = await connect(running[index]?.address ?? "", scheme, { clientTokens });
        const ref = `${hosts[scheme]}/private/${name}-${clientTokens}:${Date.now()}`;
        tokens.questions.length = 0;
        const pushed = await solved(client, made(ref), { outputs: [registryOutput(ref)] });
        expect(pushed).toMatchObject({ outputs: [{ digest: expect.stringMatching(/^sha256:/) }] });
        // A client's tokens come by POST; a daemon of its own asks by POST, then by GET.
        expect(tokens.questions.some(({ known }) => known)).toBe(scheme === "token");
        await client.prune({ all: true });
        const out = mkdtempSync(join(dir, "pulled-"));
        await solved(client, marshal(registryImage(ref)), { outputs: [localDir(out)] });
        expect(readFileSync(join(out, "a"), "utf8")).toBe(ref);
      });

      it(`refuses a wrong password with ${title}, by code (${name})`, async () => {
        const secret = wrongPassword;
        await using client = await connect(running[index]?.address ?? "", scheme, { clientTokens, secret });
        const ref = `${hosts[scheme]}/private/refused-${name}:1`;
        for (const end of [
          await solved(client, made("refused"), { outputs: [registryOutput(ref)] }),
          await solved(client, marshal(registryImage(ref))),
        ]) {
          expect(end).toMatchObject({
            code: "ERR_KILN_UNAUTHORIZED",
            hint: expect.stringMatching(/log in/i),
          });
        }
      });
    }

    it(`tells that this client does not trust the token server (${name})`, async () => {
      await using client = await connect(running[index]?.address ?? "", "token", { trusts: false });
      const ref = `${hosts.token}/private/untrusted-${name}:1`;
      const end = await solved(client, made("untrusted"), { outputs: [registryOutput(ref)] });
      expect(end).toMatchObject({
        code: "ERR_KILN_UNTRUSTED_CERTIFICATE",
        message: expect.stringContaining("this client does not trust its token server"),
        hint: expect.stringContaining("registryTls"),
      });
    });
  }

  describeEachEngine("whose authority the daemon does not know", ({ name, address: shared }) => {
    it.each(["htpasswd", "token"] as const)("tells so (%s)", async (scheme) => {
      await using client = await connect(shared, scheme);
      const ref = `${hosts[scheme]}/private/unknown-${name}:1`;
      for (const end of [
        await solved(client, made(`unknown ${scheme}`), { outputs: [registryOutput(ref)] }),
        await solved(client, marshal(registryImage(ref))),
      ]) {
        expect(end).toMatchObject({
          code: "ERR_KILN_UNTRUSTED_CERTIFICATE",
          message: expect.stringContaining("certificate signed by unknown authority"),
          hint: expect.stringContaining("certs.d"),
        });
      }
    });
  });

  it("leaves no password in events, errors, history, logs and what the daemons keep", () => {
    const forms = [password, wrongPassword].flatMap((secret) => [
      ...formsOf(secret),
      ...formsOf(`${username}:${secret}`),
    ]);
    const seen = join(dir, "told");
    writeFileSync(seen, told.join("\n"));
    const places = [
      seen,
      ...running.map(({ socket }) => dirname(socket)),
      ...prefixes.map(({ path }) => join(path, "registry")),
    ];
    // That a search would find them.
    const bait = join(dir, "bait");
    for (const form of [
      `x ${Buffer.from(`${username}:${password}`).toString("base64")}`,
      Buffer.from(`{"a":"${password}"}`).toString("base64url"),
      `password=${encodeURIComponent(wrongPassword)}`,
    ]) {
      writeFileSync(bait, form);
      expect(filesWith(forms, [bait], dir)).toEqual([bait]);
    }
    expect(told.length).toBeGreaterThan(20);
    expect(filesWith(forms, places, dir)).toEqual([]);
    for (const { socket } of running) {
      // Their logs are those of daemons that say everything.
      expect(readFileSync(join(dirname(socket), "daemon.log"), "utf8")).toContain("level=debug");
    }
  });
});
