// Runs every check of the repository that needs no daemon, one after another, and reports all that fail.
//
// Usage: node scripts/check.mjs [--without-tests] [--built] [name...]
//   --without-tests   leaves out the checks that are tests, for a caller that runs those anyway
//   --built           leaves out the compilation, for a caller that has just compiled
//   name              runs only the checks named
// Exits with 1 when a check fails and 2 when a name is unknown.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pc from "picocolors";

const root = fileURLToPath(new URL("..", import.meta.url));

const checks = [
  { name: "lint", says: "format and lint", run: ["lint"] },
  {
    name: "typecheck",
    says: "types and dropped promises of sources, tests, benchmarks and examples",
    run: ["typecheck"],
  },
  { name: "build", says: "the package compiles", run: ["build"], isBuild: true },
  { name: "unused", says: "no unused files, exports or dependencies", run: ["check:unused"] },
  { name: "package", says: "the package as users get it", run: ["check:package", "--", "--built"] },
  {
    name: "architecture",
    says: "import direction, generated code, documentation, what the repository names",
    run: ["check:architecture"],
    isTest: true,
  },
];

const { values, positionals } = parseArgs({
  options: {
    "without-tests": { type: "boolean", default: false },
    built: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => !checks.some((check) => check.name === name));
if (unknown.length > 0) {
  console.error(
    `No check is named ${unknown.join(", ")}. There are ${checks.map(({ name }) => name).join(", ")}.`,
  );
  process.exit(2);
}

const failed = [];
let passed = 0;
for (const check of checks) {
  if (positionals.length > 0 && !positionals.includes(check.name)) continue;
  if (values["without-tests"] && check.isTest === true) continue;
  if (values.built && check.isBuild === true) continue;
  const began = performance.now();
  const { ok, output } = await npmRun(check.run);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(
    `${ok ? pc.green("✓") : pc.red("✗")} ${check.name.padEnd(13)} ${check.says} ${pc.dim(`${seconds} s`)}`,
  );
  if (ok) {
    passed += 1;
  } else {
    failed.push(check.name);
    console.log(output.trimEnd().replace(/^/gm, "    "));
  }
}
console.log(`checks: ${passed} passed, ${failed.length} failed`);
if (failed.length > 0) {
  console.log(`Run one alone with: npm run check -- ${failed.join(" ")}`);
  process.exit(1);
}

/** Runs one of package.json's scripts and keeps what it printed. */
function npmRun(args) {
  return new Promise((resolve, reject) => {
    const child = spawn("npm", ["run", "--silent", ...args], {
      cwd: root,
      env: { ...process.env, ...(pc.isColorSupported ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" }) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        output += text;
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ ok: code === 0, output }));
  });
}
