import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BuildResult, Engine, Image, localDir, Secret } from "../../src/index.js";
import { describeEachEngine } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-step-options-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const base = (): Image => Image.fromRegistry("busybox:latest");
const fresh = (): string => Math.random().toString(36).slice(2);

describeEachEngine("options of a chain's steps", ({ name, address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({
      host: address,
      env: { ...process.env, FROM_ENV: "from the environment" },
      secretProviders: [(wanted) => (wanted === "vault" ? { FROM_VAULT: "from the vault" } : undefined)],
    });
  });
  afterAll(() => engine.close());

  /** What `/out` is, and the build. */
  async function built(image: Image): Promise<{ readonly text: string; readonly result: BuildResult }> {
    const out = mkdtempSync(join(dir, "out-"));
    const result = await engine.build(image, { outputs: [localDir(out)], cwd: dir }).result;
    return { text: readFileSync(join(out, "out"), "utf8"), result };
  }

  it("give commands secrets of every kind, for the step alone, and no build keeps them", async () => {
    writeFileSync(join(dir, "build.env"), "FROM_FILE='from a file'\n");
    const secrets = [
      Secret.fromObject({ FROM_OBJECT: "from the program" }),
      Secret.fromEnv("FROM_ENV"),
      Secret.fromDotenv("build.env"),
      Secret.fromName("vault", { requiredKeys: ["FROM_VAULT"] }),
    ];
    const image = base()
      .runCommands(`echo "$FROM_OBJECT, $FROM_ENV, $FROM_FILE, $FROM_VAULT" > /out; : ${fresh()}`, {
        secrets,
      })
      .runCommands("env | grep -c FROM_ >> /out || true");
    const { text } = await built(image);
    expect(text).toBe("from the program, from the environment, from a file, from the vault\n0\n");
  });

  it("do not rerun a step for another value, and do for another name", async () => {
    const tag = fresh();
    const chain = (key: string, value: string): Image =>
      base().runCommands(`cat /proc/sys/kernel/random/uuid > /out; : ${tag}`, {
        secrets: [Secret.fromObject({ [key]: value })],
      });
    const first = await built(chain("TOKEN", "one"));
    const second = await built(chain("TOKEN", "two"));
    expect(second.text).toBe(first.text);
    expect(second.result.cache.ran).toBe(0);
    expect((await built(chain("OTHER", "one"))).text).not.toBe(first.text);
  });

  it("say what is missing before anything is sent, with the place of the call", async () => {
    const image = base().runCommands("true", { secrets: [Secret.fromEnv("KILN_TEST_NOT_SET")] });
    await expect(engine.build(image).result).rejects.toMatchObject({
      code: "ERR_KILN_SECRET_NOT_FOUND",
      location: { file: expect.stringContaining("step-options.test.ts") },
    });
  });

  it("run a step with a device by its CDI name, or say what daemon and devices there are", async (ctx) => {
    const command = `echo "$KILN_TEST_DEVICE" > /out; test -c /dev/kiln-gpu0; : ${fresh()}`;
    await expect(engine.build(base().runCommands("true", { gpu: "H100:2" })).result).rejects.toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      hint: expect.stringContaining(name === "modern" ? "vendor.example/gpu=0" : "no devices"),
      location: { file: expect.stringContaining("step-options.test.ts") },
    });
    const image = base().runCommands(command, { gpu: "vendor.example/gpu=0" });
    if (name !== "modern") {
      const error = await built(image).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      ctx.skip((error as Error).message);
    }
    expect((await built(image)).text).toBe("0\n");
    const plain = base().runCommands('test ! -e /dev/kiln-gpu0; echo "[$KILN_TEST_DEVICE]" > /out');
    expect((await built(plain)).text).toBe("[]\n");
  });
});
