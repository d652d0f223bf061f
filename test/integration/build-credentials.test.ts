import { createPrivateKey, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine } from "../../src/engine/engine.js";
import { Image } from "../../src/image/image.js";
import { createDeferred } from "../../src/internal/deferred.js";
import { marshal, mkfile, image as registryImage, scratch } from "../../src/llb/index.js";
import { registryUp } from "../../src/provision/index.js";
import type { CredentialsProvider } from "../../src/session/credentials.js";
import { credentialsFor } from "../../src/session/registry-credentials/credentials-for.js";
import { withRegistryCredentials } from "../../src/session/registry-credentials/with-registry-credentials.js";
import { Client, localDir, registry as registryOutput } from "../../src/solver/index.js";
import { makeAuthority } from "./support/certificates.js";
import { describeOneEngine } from "./support/engines.js";
import { htpasswdLine } from "./support/htpasswd.js";
import { type OwnPrefix, ownPrefix } from "./support/own-prefix.js";
import { startTokenServer, type TokenServer, tokenNames } from "./support/token-server.js";
import { formsOf } from "./support/traces.js";

type Scheme = "htpasswd" | "token";

const username = "kiln";
const password = `p?>~:${randomUUID()}:/+`;
const wrongPassword = `w?>~:${randomUUID()}:/+`;

let dir: string;
let tokens: TokenServer;
const prefixes: OwnPrefix[] = [];
const hosts: Partial<Record<Scheme, string>> = {};

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-build-credentials-"));
  const signer = makeAuthority(dir, "signer");
  tokens = await startTokenServer({
    ...{ username, password },
    key: createPrivateKey(readFileSync(signer.key, "utf8")),
    certificate: readFileSync(signer.cert, "utf8"),
  });
  const file = join(dir, "htpasswd");
  writeFileSync(file, htpasswdLine(username, password));
  const auth = {
    htpasswd: { kind: "htpasswd", file },
    token: { kind: "token", ...tokenNames, realm: tokens.realm, certificates: signer.cert },
  } as const;
  for (const scheme of ["htpasswd", "token"] as const) {
    const own = ownPrefix();
    prefixes.push(own);
    const { host } = await registryUp({ prefix: own.path, listenOn: "127.0.0.1", auth: auth[scheme] });
    hosts[scheme] = host;
  }
}, 60_000);

afterAll(async () => {
  tokens?.close();
  for (const own of prefixes) await own.remove();
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
});

/** What a build gets whose chain names a secret for the registry of its base. */
function credentialsOf(scheme: Scheme, values: Readonly<Record<string, string>>): CredentialsProvider {
  const host = hosts[scheme] ?? "";
  const find = () => credentialsFor("basic", host, values, { env: {} });
  return withRegistryCredentials(() => Promise.resolve(undefined), new Map([[host, find]]));
}

const platform = { os: "linux", architecture: "amd64" };
const right = { REGISTRY_USERNAME: username, REGISTRY_PASSWORD: password };
const wrong = { REGISTRY_USERNAME: username, REGISTRY_PASSWORD: wrongPassword };

const textOf = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === "bigint") return String(part);
    if (!(part instanceof Error)) return part;
    const { message, stack, cause } = part;
    return { ...part, message, stack, cause };
  });

describeOneEngine("modern", "a build's own credentials", ({ name, address }) => {
  const env = (): Record<string, string> => ({ DOCKER_CONFIG: join(dir, "nobody") });
  let count = 0;

  /** A client of somebody who is not logged in, and an image that only `kiln` may pull. */
  async function privateImage(
    scheme: Scheme,
    clientTokens: "authenticated" | "never",
  ): Promise<{ readonly client: Client; readonly ref: string }> {
    const client = await Client.connect(address, { env: env(), clientTokens });
    count += 1;
    const ref = `${hosts[scheme]}/private/${name}-${count}:${Date.now()}`;
    await client.solve(marshal(scratch().file(mkfile("/a", ref))), {
      outputs: [registryOutput(ref)],
      credentials: credentialsOf(scheme, right),
    }).result;
    await client.prune({ all: true });
    return { client, ref };
  }

  describe.each([
    ["htpasswd", "authenticated"],
    ["token", "authenticated"],
    ["token", "never"],
  ] as const)("for a registry with %s (tokens by the client: %s)", (scheme, clientTokens) => {
    it("let the daemon pull its base, and show nowhere", async () => {
      const { client, ref } = await privateImage(scheme, clientTokens);
      await using _ = client;
      const said: unknown[] = [];
      const out = mkdtempSync(join(dir, "pulled-"));
      const solve = async (values: Readonly<Record<string, string>>): Promise<unknown> => {
        const solving = client.solve(marshal(registryImage(ref)), {
          outputs: [localDir(out)],
          credentials: credentialsOf(scheme, values),
        });
        for await (const event of solving) said.push(event);
        const end = await solving.result.catch((error: unknown) => error);
        said.push(end, await client.history({ ref: solving.ref }));
        return end;
      };
      expect(await solve(wrong)).toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
      expect(await solve(right)).toMatchObject({ ref: expect.any(String) });
      expect(readFileSync(join(out, "a"), "utf8")).toBe(ref);
      const text = textOf(said);
      expect(said.length).toBeGreaterThan(4);
      for (const secret of [password, wrongPassword, `${username}:${password}`]) {
        for (const form of formsOf(secret)) expect(text).not.toContain(form);
      }
    });

    it("are of no use to another build of the client at the same time", async () => {
      const { client, ref } = await privateImage(scheme, clientTokens);
      await using _ = client;
      const resolved = createDeferred<void>();
      const others = createDeferred<void>();
      const first = client.build(
        async (gateway) => {
          await gateway.resolveImageConfig(ref, { platform });
          resolved.resolve();
          await others.promise;
          const result = await gateway.solve({ definition: marshal(registryImage(ref)) });
          expect(new TextDecoder().decode(await result.ref?.readFile("/a"))).toBe(ref);
          return result;
        },
        { credentials: credentialsOf(scheme, right) },
      );
      first.result.catch(resolved.reject);
      try {
        await resolved.promise;
        // The daemon is logged in for the first build now.
        for (const credentials of [undefined, credentialsOf(scheme, wrong)]) {
          const other = client.solve(marshal(registryImage(ref)), { credentials });
          await expect(other.result).rejects.toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
          const asking = client.build(
            (gateway) => gateway.resolveImageConfig(ref, { platform }).then(() => undefined),
            {
              credentials,
            },
          );
          await expect(asking.result).rejects.toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
        }
      } finally {
        others.resolve();
      }
      await first.result;
    });
  });

  it("that cannot be had are the build's error, in place of the registry's refusal", async () => {
    const { client, ref } = await privateImage("htpasswd", "authenticated");
    await using _ = client;
    const solve = client.solve(marshal(registryImage(ref)), {
      credentials: credentialsOf("htpasswd", { REGISTRY_USERNAME: username }),
    });
    await expect(solve.result).rejects.toMatchObject({
      code: "ERR_KILN_SECRET_NOT_FOUND",
      message: expect.stringContaining("lacks REGISTRY_PASSWORD; it has REGISTRY_USERNAME"),
    });
  });

  it("are those of a chain's base, locked too", async () => {
    const { client, ref } = await privateImage("token", "authenticated");
    await using _ = client;
    await using engine = await Engine.connect({ host: address, env: env() });
    const out = mkdtempSync(join(dir, "chain-"));
    const image = Image.fromRegistry(ref).env({ A: "1" });
    const options = { outputs: [localDir(out)], sourceLock: join(out, "kiln.lock"), pull: "always" } as const;
    await expect(engine.build(image, options).result).rejects.toMatchObject({
      code: "ERR_KILN_UNAUTHORIZED",
    });
    await engine.build(image, { ...options, credentials: credentialsOf("token", right) }).result;
    expect(readFileSync(join(out, "a"), "utf8")).toBe(ref);
    expect(readFileSync(join(out, "kiln.lock"), "utf8")).toContain("sha256:");
  });
});
