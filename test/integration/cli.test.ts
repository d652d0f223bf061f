import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine } from "../../src/index.js";
import { baseLayout, describeEachEngine } from "./support/engines.js";
import { runCli, startCli } from "./support/run-cli.js";

const root = new URL("../../", import.meta.url).pathname;
let dir: string;

function recipe(name: string, body: string): string {
  const file = join(dir, name);
  const index = join(root, "dist", "index.js");
  writeFileSync(
    file,
    `import { Image } from ${JSON.stringify(index)};\nconst base = Image.fromOciLayout(${JSON.stringify(baseLayout("busybox"))});\n${body}\n`,
  );
  return file;
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-cli-"));
});

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

describeEachEngine("kiln on an engine", ({ name, address }) => {
  it("builds a recipe, prints the result as JSON, and runs a command in it", async () => {
    const file = recipe(
      `ok-${name}.mjs`,
      'export default base.runCommands("echo made > /made").cmd(["cat", "/made"]);',
    );
    const out = join(dir, `out-${name}`);
    const built = await runCli(["build", file, "-o", `oci:${out}`, "--host", address, "--json"]);
    expect(built.stderr).toContain("#2 runCommands echo made > /made");
    expect(built.code).toBe(0);
    const result = JSON.parse(built.stdout) as { digest: string; outputs: object[] };
    expect(result.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(result.outputs).toEqual([{ type: "oci", target: out, digest: result.digest }]);
    expect(readdirSync(out).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
    const run = await runCli(["run", out, "--host", address]);
    expect(run).toEqual({ code: 0, stdout: "made\n", stderr: "" });
    const failing = await runCli(["run", out, "--host", address, "--entrypoint", "sh", "--", "-c", "exit 7"]);
    expect(failing.code).toBe(7);
  });

  it("builds a named export of a TypeScript recipe with JSON progress", async () => {
    const file = recipe(`typed-${name}.ts`, 'export const web: Image = base.runCommands("true" as string);');
    const { code, stderr } = await runCli(["build", `${file}#web`, "--host", address, "--progress", "json"]);
    expect(code).toBe(0);
    const events = stderr
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as { type: string });
    expect(events.map(({ type }) => type)).toContain("planned");
    expect(events.at(-1)).toMatchObject({ type: "phase", phase: "done" });
  });

  it("says command, exit code, last output and the recipe's line when a command fails", async () => {
    const file = recipe(
      `fail-${name}.ts`,
      'export default base\n  .runCommands("echo one; echo two >&2; exit 42");',
    );
    const { code, stderr, stdout } = await runCli(["build", file, "--host", address]);
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain("[ERR_KILN_STEP_FAILED]");
    expect(stderr).toContain("command echo one; echo two >&2; exit 42");
    expect(stderr).toContain("exit code 42");
    expect(stderr).toMatch(/│ two/);
    expect(stderr).toContain(`${file}:4:`);
    expect(stderr).toContain("hint:");
  });

  it("stops the step on the daemon when interrupted, exits with 130 and leaves nothing behind", async () => {
    const marker = `interrupt-${name}-${process.pid}`;
    const file = recipe(
      `sleep-${name}.mjs`,
      `export default base.runCommands("echo ${marker}; sleep 600; echo late");`,
    );
    const out = join(dir, `interrupted-${name}.tar`);
    const before = readdirSync(dir);
    const run = startCli(["build", file, "-o", `tar:${out}`, "--host", address]);
    await run.stderrHas(`| ${marker}`);
    expect(await sleepersOf(marker)).toBeGreaterThan(0);
    run.child.kill("SIGINT");
    const { code, stderr } = await run.done;
    expect(code).toBe(130);
    expect(stderr).toContain("CANCELLED");
    expect(stderr).toContain("cancelled");
    expect(await sleepersOf(marker)).toBe(0);
    expect(readdirSync(dir)).toEqual(before);
  });

  it("lists the daemon's workers", async () => {
    const { code, stdout } = await runCli(["workers", "--json", "--host", address]);
    expect(code).toBe(0);
    const facts = JSON.parse(stdout) as {
      store: string;
      workers: object[];
      llbCaps: string[];
      buildkitVersion: string;
    };
    expect(facts.store).toBe("containerd");
    expect(facts.llbCaps).toContain("exec.meta.base");
    expect(facts.buildkitVersion).toBe(name === "modern" ? "0.25" : "0.13");
    const text = await runCli(["workers", "--host", address]);
    expect(text.stdout).toContain("linux/amd64");
    expect(text.stdout.includes("vendor.example/gpu=0")).toBe(name === "modern");
  });
});

describe("kiln without a daemon", () => {
  it("fails at once with the places it looked at and what to run", async () => {
    const file = recipe("nowhere.mjs", "export default base;");
    const env = {
      KILN_HOST: "",
      BUILDKIT_HOST: "",
      DOCKER_HOST: "",
      HOME: dir,
      XDG_DATA_HOME: dir,
      XDG_RUNTIME_DIR: "",
    };
    const { code, stderr } = await runCli(["build", file], { env });
    expect(code).toBe(3);
    expect(stderr).toContain("[ERR_KILN_NO_DAEMON]");
    expect(stderr).toContain("unix:///run/buildkit/buildkitd.sock (buildkitd): no such socket");
    expect(stderr).toContain("docker:///var/run/docker.sock (Docker): no such socket");
    expect(stderr).toContain("kiln engine up");
  });

  it("names the place that a wrong address came from", async () => {
    const file = recipe("nowhere2.mjs", "export default base;");
    const { code, stderr } = await runCli(["build", file], { env: { KILN_HOST: "unix:///no/such.sock" } });
    expect(code).toBe(3);
    expect(stderr).toContain("no BuildKit at unix:///no/such.sock (from KILN_HOST): no such socket");
  });

  it("refuses a missing local directory before it looks for a connection", async () => {
    const engine = await Engine.connect({ host: "tcp://127.0.0.1:1" });
    const { Image } = await import("../../src/index.js");
    const build = engine.build(Image.fromScratch().addLocalDir("./no-such-dir", "/x", { copy: true }));
    await expect(build.result).rejects.toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
      location: { file: import.meta.filename },
    });
    await engine.close();
  });

  it.each([
    ["no such recipe", ["build", "no-such.ts"], 2, "no such recipe"],
    ["a file that is no recipe", ["build", "README.md"], 2, "a recipe ends in"],
    ["an unknown output type", ["build", "x.mjs", "-o", "type=ocy,dest=x"], 2, 'no type "ocy"'],
    ["an unknown flag", ["build", "x.mjs", "--no-such"], 2, "unknown option"],
  ])("refuses %s", async (_title, args, exitCode, text) => {
    const { code, stderr } = await runCli(args, { cwd: root });
    expect(stderr).toContain(text);
    expect(code).toBe(exitCode);
  });

  it("lists a recipe's exports when the named one is missing, and says where a recipe fails to load", async () => {
    const file = recipe("exports.mjs", "export const a = base;\nexport const b = base;");
    const missing = await runCli(["build", `${file}#c`, "--host", "unix:///x"]);
    expect(missing.stderr).toContain("It exports a, b");
    const broken = recipe("broken.mjs", "export default base.addLocalDir('a', 'relative', { copy: true });");
    const { code, stderr } = await runCli(["build", broken]);
    expect(code).toBe(2);
    expect(stderr).toContain("ERR_KILN_RELATIVE_PATH");
    expect(stderr).toContain(`${broken}:3:`);
  });
});

/** How many processes on this machine run a shell with that marker in its command: the daemon's steps are such. */
async function sleepersOf(marker: string): Promise<number> {
  let found = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (command.includes(`echo ${marker}; sleep`) && command.includes("/bin/sh")) found += 1;
    } catch {
      // It ended meanwhile.
    }
  }
  return found;
}
