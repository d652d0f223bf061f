import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Engine, Image, localDir, Secret } from "../../src/index.js";
import { describeOneEngine } from "./support/engines.js";
import { ownCertificates } from "./support/own-certificates.js";

const leftPad =
  "sha512-XI5MPzVNApjAyhQzphX8BkmKsKUxD4LdyK24iZeQGinBN9yTQT3bFlCBy/aVx2HrNcqQGsdot8ghrjyrvMCoEA==";
const isNumber =
  "sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng==";

const manifest = {
  name: "app",
  version: "1.0.0",
  dependencies: { "left-pad": "^1.0.0" },
  devDependencies: { "is-number": "^7.0.0" },
};
const npmLock = {
  ...{ name: "app", version: "1.0.0", lockfileVersion: 3, requires: true },
  packages: {
    "": manifest,
    // Not the newest of its range: the lock file decides.
    "node_modules/left-pad": { version: "1.2.0" },
    "node_modules/is-number": { version: "7.0.0", integrity: isNumber, dev: true },
  },
};
const pnpmLock = `lockfileVersion: '9.0'

importers:

  .:
    dependencies:
      left-pad:
        specifier: ^1.0.0
        version: 1.3.0
    devDependencies:
      is-number:
        specifier: ^7.0.0
        version: 7.0.0

packages:

  is-number@7.0.0:
    resolution: {integrity: ${isNumber}}
    engines: {node: '>=0.12.0'}

  left-pad@1.3.0:
    resolution: {integrity: ${leftPad}}

snapshots:

  is-number@7.0.0: {}

  left-pad@1.3.0: {}
`;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-node-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

function project(files: Readonly<Record<string, unknown>>): string {
  const root = mkdtempSync(join(dir, "project-"));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), typeof content === "string" ? content : JSON.stringify(content));
  }
  return root;
}

describeOneEngine("modern", "steps for Node", ({ address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address, caBundle: ownCertificates });
  });
  afterAll(() => engine.close());

  const base = (): Image => Image.node("22.12.0").workdir("/app");

  /** Files of `/out`, and the names in a directory of the image. */
  async function built(image: Image, commands: readonly string[]) {
    const out = mkdtempSync(join(dir, "out-"));
    const last = image.runCommands(["mkdir /out", ...commands].join(" && "), { caBundle: false });
    const only = Image.fromScratch().copyFrom(last, "/out", "/");
    await engine.build(only, { outputs: [localDir(out)] }).result;
    return (name: string): string => readFileSync(join(out, name), "utf8").trim();
  }

  /** What is left outside of what was installed. */
  const residue =
    "find /root /run /tmp /app -type f ! -path '/app/node_modules/*' | grep -v /root/.bashrc | grep -v /root/.profile";

  it("npmInstall puts commands into the image and nothing else", async () => {
    const read = await built(base().npmInstall("semver@7.6.3"), [
      "semver 1.2.3 > /out/version",
      `(${residue} || true) > /out/left`,
      "find / -xdev -type d -empty -path '*kiln*' > /out/dirs",
    ]);
    expect(read("version")).toBe("1.2.3");
    expect(read("left")).toBe("");
    expect(read("dirs")).toBe("");
  });

  it("npmInstall installs a project by its lock file, with or without what it is developed with", async () => {
    const root = project({ "package.json": manifest, "package-lock.json": npmLock });
    const read = await built(base().npmInstall({ project: root }), [
      "ls /app /app/node_modules > /out/names",
      "node -p 'require(\"left-pad/package.json\").version' > /out/version",
      `(${residue} || true) > /out/left`,
    ]);
    expect(read("names").split(/\s+/)).toEqual([
      ...["/app:", "node_modules", "/app/node_modules:", "is-number", "left-pad"],
    ]);
    expect(read("version")).toBe("1.2.0");
    expect(read("left")).toBe("");
    const production = await built(base().npmInstall({ project: root, omitDev: true, workdir: "/srv" }), [
      "ls /srv/node_modules > /out/names",
    ]);
    expect(production("names")).toBe("left-pad");
    const anew = await built(base().npmInstall({ project: root, frozen: false, omitDev: true }), [
      "node -p 'require(\"left-pad/package.json\").version' > /out/version",
      "ls -A /app > /out/names",
    ]);
    expect(anew("version")).toBe("1.3.0");
    expect(anew("names")).toBe("node_modules");
  });

  it("npmInstall installs a workspace, whose sources come later", async () => {
    const member = { name: "@app/a", version: "1.0.0", dependencies: { "left-pad": "1.3.0" } };
    const root = project({
      "package.json": { name: "app", workspaces: ["packages/*"] },
      "package-lock.json": {
        ...{ name: "app", lockfileVersion: 3, requires: true },
        packages: {
          "": { name: "app", workspaces: ["packages/*"] },
          "node_modules/@app/a": { resolved: "packages/a", link: true },
          "node_modules/left-pad": { version: "1.3.0", integrity: leftPad },
          "packages/a": member,
        },
      },
      "packages/a/package.json": member,
      "packages/a/index.js": "module.exports = require('left-pad')('x', 3)",
    });
    const image = base()
      .npmInstall({ project: root })
      .addLocalDir(join(root, "packages"), "/app/packages", { copy: true });
    const read = await built(image, [
      "node -p 'require(\"@app/a\")' > /out/padded",
      "ls -A /app > /out/names",
    ]);
    expect(read("padded")).toBe("x");
    expect(read("names").split("\n").sort()).toEqual(["node_modules", "packages"]);
  });

  it("pnpmInstall puts commands into the image, and no pnpm", async () => {
    const read = await built(base().pnpmInstall("semver@7.6.3"), [
      "semver 1.2.3 > /out/version",
      "(command -v pnpm || echo none) > /out/pnpm",
      `(${residue} || true) > /out/left`,
    ]);
    expect(read("version")).toBe("1.2.3");
    expect(read("pnpm")).toBe("none");
    expect(read("left")).toBe("");
  });

  it("pnpmInstall installs a project by its lock file, whatever pnpm the project names", async () => {
    const files = {
      "package.json": { ...manifest, packageManager: "pnpm@9.0.0" },
      "pnpm-lock.yaml": pnpmLock,
    };
    const read = await built(base().pnpmInstall({ project: project(files), omitDev: true }), [
      "ls /app/node_modules > /out/names",
      "node -p 'require(\"left-pad/package.json\").version' > /out/version",
      `(${residue} || true) > /out/left`,
      "grep storeDir /app/node_modules/.modules.yaml > /out/store",
    ]);
    expect(read("names")).toBe("left-pad");
    expect(read("version")).toBe("1.3.0");
    expect(read("left")).toBe("");
    expect(read("store")).toContain("/root/.local/share/pnpm/store/");
    const stale = project({
      ...files,
      "package.json": { ...manifest, dependencies: { "left-pad": "1.2.0" } },
    });
    await expect(engine.build(base().pnpmInstall({ project: stale })).result).rejects.toMatchObject({
      code: "ERR_KILN_STEP_FAILED",
      location: { file: import.meta.filename },
      logTail: expect.arrayContaining([expect.stringContaining("ERR_PNPM_OUTDATED_LOCKFILE")]),
    });
  });

  it("an .npmrc with variables of a secret holds for its step alone", async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: npm's own way of writing variables
    const root = project({ "ci.npmrc": "prefix=/opt/${WHERE}\n" });
    const image = base().npmInstall("semver@7.6.3", {
      npmrc: join(root, "ci.npmrc"),
      secrets: [Secret.fromObject({ WHERE: "tools" })],
    });
    const read = await built(image, ["ls /opt/tools/bin > /out/names", "npm prefix --global > /out/prefix"]);
    expect(read("names")).toBe("semver");
    expect(read("prefix")).toBe("/usr/local");
  });

  it("a project without a package.json is refused before anything is sent", async () => {
    const root = project({ "other.json": "{}" });
    expect(readdirSync(root)).toEqual(["other.json"]);
    await expect(engine.build(base().npmInstall({ project: root })).result).rejects.toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
      message: expect.stringContaining("package.json"),
      location: { file: import.meta.filename },
    });
  });
});
