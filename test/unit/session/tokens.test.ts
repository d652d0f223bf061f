import { createPublicKey, verify } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { KilnError } from "../../../src/errors.js";
import { fetchToken } from "../../../src/session/fetch-token.js";
import { publicKeyBytes, signedMessage, tokenKey } from "../../../src/session/token-key.js";
import { TokenSeeds } from "../../../src/session/token-seeds.js";

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly auth: string | undefined;
  readonly body: string;
}

let server: Server;
let asked: Asked[];
let answer: (request: Asked, response: ServerResponse) => void;

beforeEach(async () => {
  asked = [];
  server = createServer((request: IncomingMessage, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += String(chunk);
    });
    request.on("end", () => {
      const one = {
        method: request.method ?? "",
        url: request.url ?? "",
        auth: request.headers.authorization,
        body,
      };
      asked.push(one);
      answer(one, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

afterEach(() => {
  server.close();
});

const request = () => ({
  clientId: "buildkit-client",
  host: "registry.example.com",
  realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token?kept=1`,
  service: "the service",
  scopes: ["repository:a:pull", "repository:b:pull,push"],
});
const login = { username: "me", secret: "p@ss word" };
const json = (response: ServerResponse, value: unknown, status = 200): void => {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
};

describe("a registry's token", () => {
  it("is asked for with a password by POST", async () => {
    answer = (_one, response) =>
      json(response, { access_token: "T", expires_in: 300, issued_at: "2026-01-02T03:04:05Z" });
    expect(await fetchToken(request(), login)).toEqual({
      token: "T",
      expiresIn: 300,
      issuedAt: Date.parse("2026-01-02T03:04:05Z") / 1000,
    });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ method: "POST", url: "/token?kept=1", auth: undefined });
    expect(Object.fromEntries(new URLSearchParams(asked[0]?.body))).toEqual({
      grant_type: "password",
      service: "the service",
      client_id: "buildkit-client",
      scope: "repository:a:pull repository:b:pull,push",
      username: "me",
      password: "p@ss word",
    });
  });

  it("is asked for with an identity token by POST, as a refresh token", async () => {
    answer = (_one, response) => json(response, { access_token: "T" });
    expect(await fetchToken(request(), { username: "", secret: "id" })).toMatchObject({ expiresIn: 60 });
    const form = Object.fromEntries(new URLSearchParams(asked[0]?.body));
    expect(form).toMatchObject({ grant_type: "refresh_token", refresh_token: "id" });
    expect(form).not.toHaveProperty("password");
  });

  for (const status of [401, 404, 405]) {
    it(`is asked for by GET where POST is answered ${status}`, async () => {
      answer = ({ method }, response) =>
        method === "POST" ? json(response, {}, status) : json(response, { token: "G" });
      expect(await fetchToken(request(), login)).toMatchObject({ token: "G" });
      expect(asked[1]?.method).toBe("GET");
      expect(asked[1]?.auth).toBe(`Basic ${Buffer.from("me:p@ss word").toString("base64")}`);
      const url = new URL(asked[1]?.url ?? "", "http://x");
      expect(url.searchParams.get("kept")).toBe("1");
      expect(url.searchParams.getAll("scope")).toEqual(request().scopes);
      expect(url.searchParams.get("service")).toBe("the service");
    });
  }

  it("is not asked for again where POST fails in another way, nor with an identity token after 405", async () => {
    for (const [status, credentials] of [
      [500, login],
      [405, { username: "", secret: "id" }],
    ] as const) {
      asked = [];
      answer = (_one, response) => json(response, {}, status);
      await expect(fetchToken(request(), credentials)).rejects.toMatchObject({
        code: "ERR_KILN_UNAUTHORIZED",
      });
      expect(asked).toHaveLength(1);
    }
  });

  it("is asked for without credentials by GET", async () => {
    answer = (_one, response) => json(response, { token: "A", expires_in: 0 });
    expect(await fetchToken(request(), undefined)).toEqual({ token: "A", expiresIn: 60, issuedAt: 0 });
    expect(asked[0]).toMatchObject({ method: "GET", auth: undefined });
  });

  it("is the registry's own where the config has one", async () => {
    const given = { username: "", secret: "", registryToken: "static" };
    expect(await fetchToken(request(), given)).toMatchObject({ token: "static" });
    expect(asked).toEqual([]);
  });

  it("is refused clearly, without the secret, and with no stack of causes", async () => {
    const errors: KilnError[] = [];
    const note = (error: unknown): number => errors.push(error as KilnError);
    answer = (_one, response) => json(response, { errors: ["p@ss word is wrong"] }, 401);
    await fetchToken(request(), login).catch(note);
    answer = (_one, response) => json(response, {});
    await fetchToken(request(), login).catch(note);
    answer = (_one, response) => {
      response.end("<html>");
    };
    await fetchToken(request(), login).catch(note);
    await fetchToken({ ...request(), realm: "ftp://nowhere" }, login).catch(note);
    answer = (_one, response) => {
      response.socket?.destroy();
    };
    await fetchToken(request(), login).catch(note);
    expect(errors.map(({ code }) => code)).toEqual(Array(5).fill("ERR_KILN_UNAUTHORIZED"));
    expect(errors[0]?.message).toContain("refuses the credentials (401)");
    for (const error of errors) {
      expect(`${error.stack} ${error.hint} ${String(error.cause)}`).not.toContain("p@ss word");
      expect(error.message).toContain("registry.example.com");
    }
  });
});

describe("the key of a token authority", () => {
  it("signs what the daemon asks, and is the same for the same secrets", () => {
    const salt = Buffer.from("salt");
    const key = tokenKey(salt, Buffer.from("seed"));
    const payload = Buffer.from("prove it");
    const signed = signedMessage(key, payload);
    expect(signed).toHaveLength(64 + payload.length);
    expect(Buffer.from(signed.subarray(64)).equals(payload)).toBe(true);
    const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), publicKeyBytes(key)]);
    const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
    expect(verify(null, payload, publicKey, signed.subarray(0, 64))).toBe(true);
    expect(publicKeyBytes(tokenKey(salt, Buffer.from("seed")))).toEqual(publicKeyBytes(key));
    expect(publicKeyBytes(tokenKey(salt, Buffer.from("other")))).not.toEqual(publicKeyBytes(key));
    expect(publicKeyBytes(tokenKey(Buffer.from("pepper"), Buffer.from("seed")))).not.toEqual(
      publicKeyBytes(key),
    );
    // Without credentials the salt alone decides, so that all anonymous clients share their tokens.
    expect(publicKeyBytes(tokenKey(salt, undefined))).toEqual(
      publicKeyBytes(tokenKey(salt, new Uint8Array())),
    );
  });

  it("is made from a seed that is kept for this machine alone, in Docker's form", async () => {
    const dir = mkdtempSync(join(tmpdir(), "kiln-seeds-"));
    try {
      const file = join(dir, "sub", ".token_seed");
      const [first, again] = await Promise.all([
        new TokenSeeds(file).of("a.example.com"),
        new TokenSeeds(join(dir, "other")).of("a.example.com"),
      ]);
      expect(first).toHaveLength(16);
      expect(first).not.toEqual(again);
      expect(await new TokenSeeds(file).of("a.example.com")).toEqual(first);
      const second = await new TokenSeeds(file).of("b.example.com");
      expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
        "a.example.com": { Seed: first.toString("base64") },
        "b.example.com": { Seed: second.toString("base64") },
      });
      expect(statSync(file).mode & 0o777).toBe(0o600);
      writeFileSync(file, "not json");
      expect(await new TokenSeeds(file).of("a.example.com")).toHaveLength(16);
      expect(await new TokenSeeds("/dev/null/x").of("a.example.com")).toHaveLength(16);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
