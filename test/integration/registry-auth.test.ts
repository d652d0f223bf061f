import { createPrivateKey, randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { marshal, mkfile, image as registryImage, scratch } from "../../src/llb/index.js";
import { registryUp } from "../../src/provision/index.js";
import { Client, localDir, registry as registryOutput, type SolveEvent } from "../../src/solver/index.js";
import { makeAuthority } from "./support/certificates.js";
import { describeEachEngine } from "./support/engines.js";
import { type OwnPrefix, ownPrefix } from "./support/own-prefix.js";
import { startTokenServer, type TokenServer, tokenNames } from "./support/token-server.js";

const user = "kiln";
const password = `pass-${randomUUID()}`;

let dir: string;
let host: string;
let own: OwnPrefix;
let tokens: TokenServer;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-auth-"));
  own = ownPrefix();
  const signer = makeAuthority(dir, "signer");
  tokens = await startTokenServer({
    username: user,
    password,
    key: createPrivateKey(readFileSync(signer.key, "utf8")),
    certificate: readFileSync(signer.cert, "utf8"),
  });
  const auth = { kind: "token", ...tokenNames, realm: tokens.realm, certificates: signer.cert } as const;
  ({ host } = await registryUp({ prefix: own.path, listenOn: "127.0.0.1", auth }));
}, 60_000);

afterAll(async () => {
  tokens.close();
  await own.remove();
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
      tokens.questions.length = 0;
      const ref = `${host}/private/${name}-${clientTokens}:${Date.now()}`;
      const content = `private ${ref}`;
      const everything: unknown[] = [];
      const push = client.solve(marshal(scratch().file(mkfile("/a", content))), {
        outputs: [registryOutput(ref)],
      });
      for await (const event of push) everything.push(event satisfies SolveEvent);
      everything.push(await push.result, await client.history({ ref: push.ref }));
      expect(tokens.questions.length).toBeGreaterThan(0);
      expect(tokens.questions.at(-1)).toMatchObject({ known: true });
      expect(tokens.questions.flatMap(({ scopes }) => scopes).join(" ")).toContain("push");
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
