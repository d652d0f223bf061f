// Checks the package as users get it: packs it once and looks at the result.
//
//   contents     every entry point and the command are there, nothing else slipped in, and it is small
//   publint      the manifest means what it says
//   attw         TypeScript finds types for every entry point
//   use          every entry point can be imported and the command runs, with production dependencies only
//   start        the package and its command load few files when they start, and no package that a build alone needs
//   scripts      no dependency runs an install script, but for those named here with the reason
//
// Usage: node scripts/check-package.mjs [--built]
//   --built   takes dist as it is, in place of building it first
// Exits with 1 when something is wrong.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

/**
 * Bytes. Raise a budget only together with a word on what it buys: the last raise was for grpc-js and protobuf-es as parts
 * of the files, which has a process connect 75 ms sooner.
 */
const BUDGET = { packed: 1_000_000, unpacked: 3_800_000 };

/** How many files a program loads at most that imports the package, and `kiln --version`: each costs time. */
const LOADED = { ".": 4, "--version": 3 };

/** Packages that may run a script when they are installed. None of these compiles or downloads. */
const INSTALL_SCRIPTS = {
  protobufjs: "of gRPC's; prints a warning when the dependent's version range has another form than its own",
  "@bufbuild/buf": "development only; checks the binary that came as an optional dependency",
  fsevents: "development only, on macOS only; its binary is in the package",
};

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = readJson("package.json");
const problems = [];

if (!process.argv.includes("--built")) {
  const built = run(process.execPath, ["scripts/build.mjs"]);
  if (!built.ok) fail(built.output);
}

const scratch = mkdtempSync(join(tmpdir(), "kiln-package-"));
try {
  const packed = run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", scratch]);
  if (!packed.ok) fail(packed.output);
  const [summary] = JSON.parse(packed.stdout);
  const tarball = join(scratch, summary.filename);
  checkContents(summary);
  await checkManifest(tarball);
  checkTypes(tarball);
  checkUse(tarball);
  checkStart();
  checkInstallScripts();
  console.log(
    `${summary.filename}: ${summary.entryCount} files, ${summary.size} bytes packed, ${summary.unpackedSize} unpacked`,
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);

function checkContents(summary) {
  const files = new Set(summary.files.map((file) => file.path));
  const wanted = [...Object.values(manifest.exports), ...Object.values(manifest.bin)]
    .flatMap((target) => (typeof target === "string" ? [target] : Object.values(target)))
    .map((path) => path.replace(/^\.\//, ""));
  for (const path of [...wanted, "README.md", "LICENSE", "CHANGELOG.md", "dist/THIRD-PARTY-NOTICES"]) {
    if (!files.has(path)) problems.push(`contents: ${path} is missing`);
  }
  for (const path of files) {
    const isKnown =
      /^(?:dist\/.*\.(?:js|d\.ts)|dist\/THIRD-PARTY-NOTICES|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(
        path,
      );
    if (!isKnown) problems.push(`contents: ${path} does not belong into the package`);
  }
  for (const [what, size] of [
    ["packed", summary.size],
    ["unpacked", summary.unpackedSize],
  ]) {
    if (size > BUDGET[what])
      problems.push(`contents: ${size} bytes ${what}, over the budget of ${BUDGET[what]}`);
  }
}

async function checkManifest(tarball) {
  const { messages } = await publint({
    pack: { tarball: toArrayBuffer(readFileSync(tarball)) },
    strict: true,
  });
  for (const message of messages) {
    problems.push(`publint: ${message.type}: ${formatMessage(message, manifest, { color: false })}`);
  }
}

function checkTypes(tarball) {
  const attw = join(root, "node_modules/@arethetypeswrong/cli/dist/index.js");
  const options = [
    "--profile",
    "esm-only",
    "--no-definitely-typed",
    "--no-color",
    "--no-emoji",
    "--format",
    "ascii",
  ];
  const result = run(process.execPath, [attw, tarball, ...options]);
  if (!result.ok) problems.push(`attw: ${result.output}`);
}

/** Lays the unpacked package beside links to its direct dependencies, and nothing else, and uses it. */
function checkUse(tarball) {
  const modules = join(scratch, "user/node_modules");
  const home = join(modules, manifest.name);
  mkdirSync(home, { recursive: true });
  const unpacked = run("tar", ["-xzf", tarball, "-C", home, "--strip-components=1"]);
  if (!unpacked.ok) fail(unpacked.output);
  for (const name of Object.keys(manifest.dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
  const entries = Object.keys(manifest.exports).filter((entry) => entry !== "./package.json");
  for (const entry of entries) {
    const specifier = `${manifest.name}${entry.slice(1)}`;
    const program = `const m = await import(${JSON.stringify(specifier)}); process.exit(Object.keys(m).length > 0 ? 0 : 1);`;
    const imported = run(process.execPath, ["--input-type=module", "-e", program], join(scratch, "user"));
    if (!imported.ok)
      problems.push(`use: ${specifier} cannot be imported, or exports nothing: ${imported.output}`);
  }
  for (const [name, path] of Object.entries(manifest.bin)) {
    const version = run(process.execPath, [join(home, path), "--version"], join(scratch, "user"));
    if (!version.ok || !version.stdout.includes(manifest.version)) {
      problems.push(`use: ${name} --version does not print ${manifest.version}: ${version.output}`);
    }
    const text = readFileSync(join(home, path), "utf8");
    if (!text.startsWith("#!/usr/bin/env node\n"))
      problems.push(`use: ${path} does not begin with #!/usr/bin/env node`);
  }
}

/** Counts what Node loads. Needs the package as {@link checkUse} left it. */
function checkStart() {
  const user = join(scratch, "user");
  const hooks = `export async function load(url, context, next) {
    if (url.startsWith("file:")) console.error("loaded " + url);
    return next(url, context);
  }`;
  const register = `import { register } from "node:module"; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`)});`;
  const preload = `--import=data:text/javascript,${encodeURIComponent(register)}`;
  const command = join("node_modules", manifest.name, manifest.bin.kiln);
  for (const [what, args] of [
    [".", ["--input-type=module", "-e", `await import(${JSON.stringify(manifest.name)});`]],
    ["--version", [command, "--version"]],
  ]) {
    const started = run(process.execPath, [preload, ...args], user);
    const files = [...started.output.matchAll(/^loaded (.*)$/gm)].map(([, url]) => url);
    const foreign = files.filter((url) => !url.includes(`/node_modules/${manifest.name}/`));
    if (!started.ok) problems.push(`start: ${what} cannot be loaded: ${started.output}`);
    if (foreign.length > 0) problems.push(`start: ${what} loads ${foreign.join(", ")}`);
    if (files.length === 0 || files.length > LOADED[what])
      problems.push(`start: ${what} loads ${files.length} files, in place of at most ${LOADED[what]}`);
  }
}

function checkInstallScripts() {
  for (const [path, entry] of Object.entries(readJson("package-lock.json").packages)) {
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    if (entry.hasInstallScript === true && !Object.hasOwn(INSTALL_SCRIPTS, name)) {
      problems.push(`scripts: ${name} runs a script when it is installed`);
    }
  }
}

function run(command, args, cwd = root) {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (result.error !== undefined) throw result.error;
  return { ok: result.status === 0, stdout: result.stdout, output: `${result.stdout}${result.stderr}` };
}

function fail(output) {
  console.error(output);
  process.exit(1);
}

function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), "utf8"));
}

function toArrayBuffer(buffer) {
  return buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength);
}
