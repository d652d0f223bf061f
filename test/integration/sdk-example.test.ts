import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Engine, localDir, SolveError } from "kiln-engine";
import { afterAll, beforeAll, expect, it } from "vitest";
import { AcmeImage } from "../../examples/sdk/acme-images.js";
import { describeOneEngine } from "./support/engines.js";
import { runCli } from "./support/run-cli.js";

const example = new URL("../../examples/sdk/", import.meta.url).pathname;
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-sdk-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const start = (): AcmeImage => AcmeImage.start("busybox:latest");

describeOneEngine("modern", "an SDK on top", ({ address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address });
  });
  afterAll(() => engine.close());

  it("builds", async () => {
    const out = mkdtempSync(join(dir, "out-"));
    const { image } = start().tool("greet", { script: "greet.sh", check: "greet you > /greeting" });
    await engine.build(image, { outputs: [localDir(out)], cwd: example }).result;
    expect(readFileSync(join(out, "greeting"), "utf8")).toBe("Hello you on port ?\n");
    expect(readFileSync(join(out, "usr/local/bin/greet"), "utf8")).toBe(
      readFileSync(join(example, "greet.sh"), "utf8"),
    );
    expect(statSync(join(out, "usr/local/bin/greet")).mode & 0o777).toBe(0o755);
  });

  it("fails with the step's name and the place where the SDK was called", async () => {
    writeFileSync(join(dir, "broken.sh"), "#!/bin/sh\necho out of order >&2\nexit 9\n");
    const line = Number(/sdk-example\.test\.ts:(\d+)/.exec(new Error("here").stack ?? "")?.[1]);
    const { image } = start().tool("broken", { script: "broken.sh" });
    const error = await engine.build(image, { cwd: dir }).result.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SolveError);
    expect(error).toMatchObject({
      code: "ERR_KILN_STEP_FAILED",
      step: { id: "acme.installTool", title: "acme.installTool broken" },
      command: "broken --version",
      exitCode: 9,
      logTail: [expect.stringContaining("out of order")],
      location: { file: import.meta.filename, line: line + 1 },
    });
  });

  it("says which step lacks its file", async () => {
    const { image } = start().tool("greet", { script: "gone.sh" });
    await expect(engine.build(image, { cwd: dir }).result).rejects.toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
      message: expect.stringContaining("acme.installTool greet"),
      location: { file: import.meta.filename },
    });
  });

  it("is built by the command line, and runs", async () => {
    const out = mkdtempSync(join(dir, "layout-"));
    const env = { ACME_BASE: "busybox:latest" };
    const recipe = join(example, "image.ts");
    const args = ["--cwd", example, "-o", `oci:${out}`, "--host", address];
    const built = await runCli(["build", recipe, ...args], { env });
    expect(built.stderr).toContain("#2 acme.installTool greet");
    expect(built.code).toBe(0);
    const run = await runCli(["run", out, "--host", address, "--", "you"]);
    expect(run).toMatchObject({ code: 0, stdout: "Hello you on port 8080\n" });
  });
});
