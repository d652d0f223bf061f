import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { gatherSecrets, type SecretProvider } from "../../src/engine/inputs/gather-secrets.js";
import { secretVersion, secretVersionKey } from "../../src/engine/inputs/secret-versions.js";
import { compile } from "../../src/image/compile.js";
import { Image } from "../../src/image/image.js";
import { needsOf } from "../../src/image/needs-of.js";
import { Secret } from "../../src/image/secret.js";
import { facts } from "../unit/image/facts.js";
import { bundleModule } from "../unit/internal/bundle-module.js";

const hush = "hush-do-not-tell";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-versions-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const keyFile = (data = dir): string => join(data, "secret-versions", "key");

function gather(
  secrets: readonly Secret[],
  env: Readonly<Record<string, string>> = {},
  providers: readonly SecretProvider[] = [],
) {
  const image = Image.fromRegistry("debian").runCommands("true", { secrets });
  const places = { cwd: dir, env: { KILN_DATA_DIR: dir, ...env }, providers, signal: undefined };
  return gatherSecrets(needsOf(image).secrets, places);
}

async function versionsOf(secret: Secret, env?: Readonly<Record<string, string>>, data?: string) {
  const { facts: found } = await gather([secret], { ...env, ...(data && { KILN_DATA_DIR: data }) });
  return [...found.values()].flat().map(({ version }) => version);
}

describe("a secret whose values count", () => {
  it("is another value than the one it was made of, and says what it is", () => {
    const plain = Secret.fromEnv("TOKEN");
    const counting = plain.versioned();
    expect([plain.isVersioned, counting.isVersioned, counting.versioned().isVersioned]).toEqual([
      ...[false, true, true],
    ]);
    expect(counting.origin).toBe(plain.origin);
    expect(String(counting)).toBe("Secret.fromEnv(TOKEN).versioned()");
    expect(Secret.isSecret(counting)).toBe(true);
    const image = Image.fromScratch().runCommands("true", {
      secrets: [Secret.fromObject({ TOKEN: hush }).versioned()],
    });
    expect(image.toSnapshot()).toContain("Secret.fromObject({ TOKEN }).versioned()");
    expect(inspect(image.steps, { depth: 9 })).not.toContain(hush);
  });

  it("has a version by value, name and origin, and the same every time", async () => {
    const one = await versionsOf(Secret.fromObject({ A: "1" }).versioned());
    expect(one).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
    expect(await versionsOf(Secret.fromObject({ A: "1" }).versioned())).toEqual(one);
    const others = [
      await versionsOf(Secret.fromObject({ A: "2" }).versioned()),
      await versionsOf(Secret.fromObject({ B: "1" }).versioned()),
      await versionsOf(Secret.fromEnv("A").versioned(), { A: "1" }),
      await versionsOf(Secret.fromObject({ A: "" }).versioned()),
    ];
    expect(new Set([one, ...others].flat()).size).toBe(5);
  });

  it("has one for all variables, of a file and of a provider as well", async () => {
    writeFileSync(join(dir, ".env"), "A=1\nB=2\n");
    const provider: SecretProvider = () => ({ C: "3" });
    const secrets = [Secret.fromDotenv().versioned(), Secret.fromName("prod").versioned()];
    const { facts: found, versions } = await gather(secrets, {}, [provider]);
    const told = [...found.values()].flat();
    expect(told.map(({ env }) => env)).toEqual(["A", "B", "C"]);
    expect(new Set(told.map(({ version }) => version)).size).toBe(3);
    expect([...versions.keys()]).toEqual(["1.options.secret.0", "1.options.secret.1"]);
    writeFileSync(join(dir, ".env"), "A=1\nB=other\n");
    const after = await gather(secrets, {}, [provider]);
    expect(after.versions.get("1.options.secret.0")).not.toBe(versions.get("1.options.secret.0"));
    expect(after.versions.get("1.options.secret.1")).toBe(versions.get("1.options.secret.1"));
  });

  it("leaves the same secret without it, and secrets of registries, as they are", async () => {
    const secret = Secret.fromObject({ REGISTRY_USERNAME: "me", REGISTRY_PASSWORD: hush });
    const image = Image.fromRegistry("debian", { secret: secret.versioned() }).runCommands("true", {
      secrets: [secret],
    });
    const places = { cwd: dir, env: { KILN_DATA_DIR: dir }, providers: [], signal: undefined };
    const found = await gatherSecrets(needsOf(image).secrets, places);
    expect([...found.facts.values()].flat().map((variable) => Object.keys(variable))).toEqual([
      ["env", "id"],
      ["env", "id"],
    ]);
    expect([found.versions.size, found.registries.size, existsSync(keyFile())]).toEqual([0, 1, false]);
  });

  it("makes steps others by value alone, for commands that see nothing of it", async () => {
    const secret = Secret.fromEnv("TOKEN");
    const planned = async (of: Secret, token: string) => {
      const image = Image.fromRegistry("debian").runCommands("true", { secrets: [of] });
      const { facts: secrets } = await gather([of], { TOKEN: token });
      const plan = compile(image, facts({}, { secrets }));
      return { plan, vertex: plan.steps[1]?.vertices.at(-1), text: JSON.stringify(plan.definition) };
    };
    const counting = secret.versioned();
    const one = await planned(counting, "one");
    expect((await planned(counting, "one")).vertex).toBe(one.vertex);
    const two = await planned(counting, "two");
    expect(two.vertex).not.toBe(one.vertex);
    const plain = await planned(secret, "one");
    expect((await planned(secret, "two")).vertex).toBe(plain.vertex);
    expect(plain.vertex).not.toBe(one.vertex);
    expect(two.plan.toSnapshot()).toBe(one.plan.toSnapshot());
    expect(one.plan.toSnapshot()).toContain("kiln.version.<versioned>");
    expect(one.plan.toSnapshot()).not.toMatch(/version\.[0-9a-f]/);
    expect(plain.plan.toSnapshot()).not.toContain("version");
    expect(JSON.stringify([one.plan.config, one.plan.steps, [...one.plan.commands]])).not.toContain(
      "kiln.version",
    );
  });
});

describe("the key of secrets' versions", () => {
  const place = (data = dir) => ({
    env: { KILN_DATA_DIR: data },
    location: { file: "recipe.ts", line: 1, column: 1 },
    signal: undefined,
  });

  it("is made once, for this user alone, and stays", async () => {
    const key = await secretVersionKey(place());
    expect(key).toHaveLength(32);
    expect(await secretVersionKey(place())).toEqual(key);
    if (process.platform !== "win32") expect(statSync(keyFile()).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(dir, "secret-versions")).sort()).toEqual(["key", "lock"]);
    expect(await secretVersionKey(place(join(dir, "other")))).not.toEqual(key);
  });

  it("makes versions that nobody else can make of a guess", async () => {
    const variable = { id: "kiln.env.PIN", env: "PIN" };
    const [mine, other] = [await secretVersionKey(place()), new Uint8Array(32)];
    expect(secretVersion(mine, variable, "1234")).not.toBe(secretVersion(other, variable, "1234"));
    // The border between name and value counts.
    expect(secretVersion(other, { id: "a", env: "b" }, "c")).not.toBe(
      secretVersion(other, { id: "a", env: "" }, "bc"),
    );
  });

  it("is the same for processes that make it at the same moment", async () => {
    const module = await bundleModule("engine/inputs/secret-versions.ts", dir);
    const data = join(dir, "data");
    const script = `
      import { secretVersionKey } from ${JSON.stringify(module)};
      process.stdout.write(Buffer.from(await secretVersionKey({ env: { KILN_DATA_DIR: ${JSON.stringify(data)} } })).toString("hex"));`;
    const keys = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
        let key = "";
        child.stdout.on("data", (text) => {
          key += String(text);
        });
        await once(child, "close");
        return key;
      }),
    );
    expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(keys).size).toBe(1);
  });

  it("is said to be missing where it cannot be kept, with the place of the call", async () => {
    writeFileSync(join(dir, "file"), "");
    const error = await secretVersionKey(place(join(dir, "file"))).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: "ERR_KILN_SECRET_VERSION",
      location: place().location,
      hint: expect.stringContaining("KILN_DATA_DIR"),
    });
    await expect(versionsOf(Secret.fromObject({ A: hush }), {}, join(dir, "file"))).resolves.toEqual([
      undefined,
    ]);
    const failed = versionsOf(Secret.fromObject({ A: hush }).versioned(), {}, join(dir, "file"));
    const reason = await failed.catch((one: unknown) => one);
    expect(reason).toMatchObject({ location: { file: expect.stringContaining("secret-versions.test.ts") } });
    expect(inspect(reason, { depth: 9 })).not.toContain(hush);
  });

  it("is said to be damaged when it is", async () => {
    mkdirSync(join(dir, "secret-versions"));
    writeFileSync(keyFile(), "short");
    await expect(secretVersionKey(place())).rejects.toMatchObject({
      code: "ERR_KILN_SECRET_VERSION",
      message: expect.stringContaining("has 5 bytes, not 32"),
    });
  });

  it("is not read from a place that is another one for each caller", async () => {
    await expect(secretVersionKey(place("relative"))).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
    });
  });
});
