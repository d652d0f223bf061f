import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gatherSecrets, type SecretProvider } from "../../../src/engine/inputs/gather-secrets.js";
import { Image } from "../../../src/image/image.js";
import { needsOf } from "../../../src/image/needs-of.js";
import { Secret } from "../../../src/image/secret.js";

const hush = "hush-do-not-tell";
const here = { file: expect.stringContaining("secret.test.ts") };

describe("a secret", () => {
  it("shows where its values come from and never what they are", () => {
    const secret = Secret.fromObject({ TOKEN: hush, UNSET: undefined, NONE: null });
    const image = Image.fromScratch().runCommands("true", { secrets: [secret] });
    for (const text of [
      String(secret),
      JSON.stringify({ secret }),
      inspect(secret, { depth: 9, showHidden: true }),
      JSON.stringify(image.steps),
      inspect(image.steps, { depth: 9 }),
      JSON.stringify(needsOf(image)),
      inspect(needsOf(image), { depth: 9 }),
    ]) {
      expect(text).not.toContain(hush);
    }
    expect(String(secret)).toBe("Secret.fromObject({ TOKEN })");
    expect(String(Secret.fromEnv("A", "B"))).toBe("Secret.fromEnv(A, B)");
    expect(String(Secret.fromDotenv())).toBe("Secret.fromDotenv(.env)");
    expect(String(Secret.fromName("prod"))).toBe("Secret.fromName(prod)");
  });

  const wrong: readonly (readonly [string, () => unknown, RegExp])[] = [
    ["no object", () => Secret.fromObject(hush as never), /a value of type string/],
    ["a number", () => Secret.fromObject({ A: 1 as never }), /the value of A must be a string/],
    ["a NUL", () => Secret.fromObject({ A: "a\0b" }), /NUL/],
    ["a name that is none", () => Secret.fromObject({ "A-B": hush }), /no variable's name/],
    ["no variable", () => Secret.fromEnv(), /names no variable/],
    ["a variable that is none", () => Secret.fromEnv("1A"), /no variable's name/],
    ["a number as a variable", () => Secret.fromEnv(1 as never), /a value of type number/],
    ["no path", () => Secret.fromDotenv(""), /path of a file/],
    ["no name", () => Secret.fromName(""), /needs a name/],
    ["a name with a slash", () => Secret.fromName("a/b"), /needs a name/],
    ["an unknown option", () => Secret.fromName("a", { required_keys: [] } as never), /unknown option/],
    ["keys that are no list", () => Secret.fromName("a", { requiredKeys: "A" as never }), /must be a list/],
    [
      "one secret in place of a list",
      () => Image.fromScratch().runCommands("a", { secrets: Secret.fromEnv("A") as never }),
      /got one secret/,
    ],
    [
      "a text in place of a secret",
      () => Image.fromScratch().aptInstall("a", { secrets: [hush as never] }),
      /list of Secret values/,
    ],
    [
      "a gpu that is none",
      () => Image.fromScratch().runCommands("a", { gpu: "two GPUs" }),
      /CDI name or a model/,
    ],
    [
      "a gpu as a number",
      () => Image.fromScratch().runCommands("a", { gpu: 1 as never }),
      /CDI name or a model/,
    ],
  ];
  it.each(wrong)("refuses %s at the call", (_title, call, why) => {
    let error: unknown;
    try {
      call();
    } catch (reason) {
      error = reason;
    }
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_KILN_/), location: here });
    expect((error as Error).message).toMatch(why);
    expect(inspect(error)).not.toContain(hush);
  });
});

describe("gathering secrets", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "kiln-secrets-"));
    writeFileSync(join(dir, ".env"), `# a comment\nTOKEN=${hush}\nexport QUOTED="two words"\n`);
  });
  afterAll(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  function gather(
    secrets: readonly Secret[],
    places: { env?: Record<string, string>; providers?: readonly SecretProvider[] } = {},
  ) {
    const image = Image.fromScratch().runCommands("true", { secrets });
    const { env = {}, providers = [] } = places;
    return gatherSecrets(needsOf(image).secrets, { cwd: dir, env, providers, signal: undefined });
  }

  it("finds them wherever they come from, by ids that tell nothing", async () => {
    const asked: string[] = [];
    const { facts, sources } = await gather(
      [
        Secret.fromObject({ A: "a" }),
        Secret.fromObject({ A: "other" }),
        Secret.fromEnv("B"),
        Secret.fromDotenv(),
        Secret.fromName("prod", { requiredKeys: ["D"] }),
        Secret.fromName("prod"),
      ],
      {
        env: { B: "b" },
        providers: [
          () => undefined,
          (name) => {
            asked.push(name);
            return { D: "d", E: "e" };
          },
        ],
      },
    );
    expect([...facts.values()].flat()).toEqual([
      { env: "A", id: "kiln.object1.A" },
      { env: "A", id: "kiln.object2.A" },
      { env: "B", id: "kiln.env.B" },
      { env: "QUOTED", id: "kiln.dotenv..env.QUOTED" },
      { env: "TOKEN", id: "kiln.dotenv..env.TOKEN" },
      { env: "D", id: "kiln.name.prod.D" },
      { env: "E", id: "kiln.name.prod.E" },
      { env: "D", id: "kiln.name.prod.D" },
      { env: "E", id: "kiln.name.prod.E" },
    ]);
    const value = (id: string): unknown => sources[id];
    expect(value("kiln.object2.A")).toBe("other");
    expect(value("kiln.dotenv..env.TOKEN")).toBe(hush);
    expect(value("kiln.dotenv..env.QUOTED")).toBe("two words");
    expect(asked).toEqual(["prod"]);
  });

  it.each([
    ["a variable that is not set", Secret.fromEnv("NOT_SET"), [], /NOT_SET is not set/],
    ["a file that is not there", Secret.fromDotenv("none.env"), [], /does not exist/],
    ["a name that nobody knows", Secret.fromName("x"), [], /no provider knows/],
    [
      "a key that is missing",
      Secret.fromName("x", { requiredKeys: ["K"] }),
      [() => ({ L: hush })],
      /has no K/,
    ],
  ] as const)("says what is missing: %s", async (_title, secret, providers, why) => {
    const error = await gather([secret], { providers }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "ERR_KILN_SECRET_NOT_FOUND", location: here });
    expect((error as Error).message).toMatch(why);
    expect(inspect(error)).not.toContain(hush);
  });
});
