import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RegistryAccess } from "../../../../src/engine/registries/registry-access.js";
import { mediaTypes, sha256 } from "../../../../src/oci/index.js";
import type { Credentials } from "../../../../src/session/credentials.js";
import { bodyOf, type FakeRegistry, startFakeRegistry } from "../../oci/fake-registry.js";

const bytes = Buffer.from("{}");
const secret = "pass-word-of-a-user";
const me: Credentials = { username: "me", secret };

let registry: FakeRegistry;
let access: RegistryAccess | undefined;
let asked: string[];
let tokens: { readonly realm: string; readonly forms: string[]; readonly close: () => void };

beforeEach(async () => {
  asked = [];
  registry = await startFakeRegistry();
  registry.manifests.set("app:1", { mediaType: mediaTypes.ociManifest, bytes });
  const forms: string[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const form = `${request.method} ${request.url} ${String(await bodyOf(request))}`;
      forms.push(form);
      const known = form.includes(`password=${secret}`) || request.method === "GET";
      response.writeHead(known ? 200 : 401).end(JSON.stringify({ token: `token${forms.length}` }));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  tokens = { realm: `http://127.0.0.1:${port}/token`, forms, close };
});

afterEach(async () => {
  access?.close();
  tokens.close();
  await registry[Symbol.asyncDispose]();
});

function guard(challenge: string, isRight: (authorization: string) => boolean): void {
  registry.intercept = (request, response) => {
    if (isRight(request.headers.authorization ?? "")) return false;
    response.writeHead(401, { "www-authenticate": challenge }).end();
    return true;
  };
}

function connect(found: Credentials | undefined): RegistryAccess {
  access = new RegistryAccess({
    env: {},
    retries: 0,
    credentials: async (host) => {
      asked.push(host);
      return found;
    },
  });
  return access;
}

const head = (found: Credentials | undefined): Promise<unknown> =>
  connect(found).client(`${registry.host}/app`).headManifest("1");

describe("the way to a registry", () => {
  it("asks for no credentials before the registry does", async () => {
    expect(await head(me)).toMatchObject({ digest: sha256(bytes) });
    expect(asked).toEqual([]);
  });

  it("logs in by name and password, or by a token that is taken as it is", async () => {
    const login = `Basic ${Buffer.from(`me:${secret}`).toString("base64")}`;
    guard('Basic realm="x"', (header) => header === login || header === "Bearer ready-made");
    expect(await head(me)).toBeDefined();
    expect(asked).toEqual([registry.host]);
    expect(await head({ username: "", secret: "", registryToken: "ready-made" })).toBeDefined();
    await expect(head({ username: "", secret: "identity" })).rejects.toMatchObject({
      code: "ERR_KILN_UNAUTHORIZED",
    });
    await expect(head(undefined)).rejects.toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
  });

  it("fetches a token for what is done, once", async () => {
    guard(`Bearer realm="${tokens.realm}",service="reg"`, (header) => header === "Bearer token1");
    const client = connect(me).client(`${registry.host}/app`);
    expect(await client.headManifest("1")).toBeDefined();
    expect(await client.headManifest("1")).toBeDefined();
    expect(connect(me).client(`${registry.host}/app`)).not.toBe(client);
    expect(tokens.forms).toHaveLength(1);
    const form = new URLSearchParams(tokens.forms[0]?.split(" ")[2]);
    expect(Object.fromEntries(form)).toMatchObject({
      service: "reg",
      scope: "repository:app:pull",
      username: "me",
    });
  });

  it("fetches a token for nobody where there are no credentials", async () => {
    guard(`Bearer realm="${tokens.realm}",service="reg"`, (header) => header === "Bearer token1");
    expect(await head(undefined)).toBeDefined();
    expect(tokens.forms).toEqual(["GET /token?service=reg&scope=repository%3Aapp%3Apull "]);
  });

  it("says why a token is refused, without the password", async () => {
    guard(`Bearer realm="${tokens.realm}",service="reg"`, () => false);
    const error = await head({ username: "me", secret: "wrong-pass-word" }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
    expect(JSON.stringify([error, (error as Error).message])).not.toContain("wrong-pass-word");
  });

  it("gives no password to a token server in plain text for a registry with HTTPS", async () => {
    const challenge = { scheme: "bearer", parameters: new Map([["realm", tokens.realm]]) };
    const ask = (found: Credentials | undefined, secure: boolean): Promise<unknown> =>
      connect(found).authorize(challenge, {
        ...{ host: "registry.example", secure, scopes: [], refused: undefined, signal: undefined },
      });
    await expect(ask(me, true)).rejects.toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
    expect(tokens.forms).toEqual([]);
    expect(await ask(undefined, true)).toBe("Bearer token1");
    expect(await ask(me, false)).toBe("Bearer token2");
  });

  it("keeps one client a repository", () => {
    const all = connect(me);
    const one = all.client("localhost:5000/a");
    expect(all.client("localhost:5000/a")).toBe(one);
    expect(all.client("localhost:5000/b")).not.toBe(one);
    expect(all.client("localhost:5000/a", { insecure: true })).not.toBe(one);
  });
});
