// `npm test`: everything, from a fresh clone on a Debian machine with Node. Ends with "N passed, N failed, N skipped".
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { prepare } from "./prepare.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
const totals = { passed: 0, failed: 0, skipped: 0 };
const seconds = [];
let started = [];
const running = new Set();
const counted = new Map();
let interrupted = false;

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    interrupted = true;
    for (const child of running) child.kill(signal);
  });
}

await main();

async function main() {
  try {
    // Compiles, unless nothing has changed since it last did.
    prepare(root);
    // The engines are set up meanwhile: that is mostly downloads.
    const [, ready] = await Promise.all([suite("unit"), engines()]);
    // Tests on engines mostly wait for these: what needs but a processor runs beside them.
    await Promise.all([checks(), !interrupted && ready ? integration() : undefined]);
  } catch (error) {
    totals.failed += 1;
    console.error(error);
  } finally {
    await tearDown();
  }
  if (interrupted) totals.failed += 1;
  for (const outcome of counted.values()) totals[outcome] += 1;
  title("Seconds per file");
  for (const { file, spent } of seconds.sort((a, b) => b.spent - a.spent))
    console.log(`${spent.toFixed(1).padStart(7)}  ${file}`);
  console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
}

async function checks() {
  if (interrupted) return;
  title("Checks");
  const begun = Date.now();
  const { code, output } = await run(
    "npm",
    ["run", "--silent", "check", "--", "--without-tests", "--built"],
    {
      label: "checks",
    },
  );
  const summary = /checks: (\d+) passed, (\d+) failed/.exec(output);
  totals.passed += Number(summary?.[1] ?? 0);
  totals.failed += summary === null ? 1 : Number(summary[2]);
  if (code !== 0 && summary !== null && Number(summary[2]) === 0) totals.failed += 1;
  seconds.push({ file: "checks", spent: (Date.now() - begun) / 1000 });
}

/** `label` tells runs apart that share the terminal; default the one engine that the run knows. */
async function suite(project, { files = [], engine, label = engine } = {}) {
  if (interrupted) return;
  title(`Tests: ${project}${label === undefined ? "" : ` (${label})`}`);
  const report = join(tmpdir(), `kiln-${process.pid}-${project}-${label}.json`);
  const { code } = await run(
    "npx",
    [
      ...["vitest", "run", "--project", project, ...files],
      ...["--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
    ],
    { label, env: engine === undefined ? process.env : { ...process.env, KILN_TEST_ENGINES: engine } },
  );
  let clean = true;
  try {
    clean = count(JSON.parse(readFileSync(report, "utf8")), engine);
  } finally {
    rmSync(report, { force: true });
  }
  // A file that cannot be loaded, or an unhandled rejection, fails the run without failing a test.
  if (code !== 0 && clean) totals.failed += 1;
}

// Files whose tests know one engine at a time run on both engines at once: they mostly wait for their daemon. Of the
// others, those that start and stop an engine of their own, which is one and the same, run beside the rest.
async function integration() {
  const folder = join(root, "test", "integration");
  const names = readdirSync(folder).filter((name) => name.endsWith(".test.ts"));
  const lanes = { modern: [], older: [], both: [], own: [] };
  for (const name of names) {
    const text = readFileSync(join(folder, name), "utf8");
    const one = /describeOneEngine\(\s*"(\w+)"/.exec(text)?.[1];
    const only = /describe\.runIf\((modern|older) !== undefined\)/.exec(text)?.[1];
    const each = one !== undefined && process.env.KILN_TEST_EVERY_ENGINE === "1";
    if (only !== undefined) lanes[only].push(name);
    else if (one !== undefined && !each) lanes[one].push(name);
    else if (each || (text.includes("describeEachEngine(") && !/\bengines\(\)/.test(text))) {
      lanes.modern.push(name);
      lanes.older.push(name);
    } else lanes[text.includes('kind: "classic"') ? "own" : "both"].push(name);
  }
  const paths = (list) => list.map((name) => `test/integration/${name}`);
  await Promise.all(
    ["modern", "older"].map((engine) => suite("integration", { files: paths(lanes[engine]), engine })),
  );
  await Promise.all(
    ["both", "own"].map((label) => suite("integration", { files: paths(lanes[label]), label })),
  );
}

/** Takes in what a run reports; false if anything failed. A test that does not know engines runs with each, and counts once. */
function count({ testResults }, engine) {
  const failedBefore = totals.failed;
  let clean = true;
  const seen = new Map();
  for (const { name, assertionResults, startTime, endTime, status, message } of testResults) {
    const file = `${relative(root, name)}${engine === undefined ? "" : ` (${engine})`}`;
    seconds.push({ file, spent: (endTime - startTime) / 1000 });
    if (status === "failed" && assertionResults.length === 0) {
      totals.failed += 1;
      console.log(`failed to load: ${relative(root, name)}: ${message}`);
    }
    for (const { status: outcome, fullName, meta } of assertionResults) {
      // Titles may come twice in a file.
      const place = seen.get(`${name} ${fullName}`) ?? 0;
      seen.set(`${name} ${fullName}`, place + 1);
      const key = `${name} ${fullName} ${place}`;
      const known = counted.get(key);
      if (outcome === "failed") clean = false;
      else if (outcome !== "passed" && known === undefined) {
        console.log(`skipped: ${fullName}${meta?.reason === undefined ? "" : `: ${meta.reason}`}`);
      }
      const kind = ["passed", "failed"].includes(outcome) ? outcome : "skipped";
      if (known !== "failed") counted.set(key, known === "passed" && kind === "skipped" ? known : kind);
    }
  }
  return clean && totals.failed === failedBefore;
}

async function engines() {
  if (interrupted) return false;
  title("Engines");
  const begun = Date.now();
  const { enginesUp, printProgress } = await import("./engines.mjs");
  try {
    started = await enginesUp({ onProgress: printProgress() });
    console.log(started.length === 0 ? "all were up already" : `started: ${started.join(", ")}`);
    seconds.push({ file: "engines", spent: (Date.now() - begun) / 1000 });
    return true;
  } catch (error) {
    totals.failed += 1;
    console.error(`${error.message}\n${error.hint ?? ""}`);
    return false;
  }
}

async function tearDown() {
  if (started.length === 0) return;
  title(`Stopping what was started: ${started.join(", ")}`);
  const { enginesDown } = await import("./engines.mjs");
  await enginesDown(started).catch((error) => {
    totals.failed += 1;
    console.error(error);
  });
}

function run(command, args, { env = process.env, label } = {}) {
  return new Promise((done) => {
    let output = "";
    let line = "";
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "inherit"] });
    running.add(child);
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text) => {
      output += text;
      if (label === undefined) return process.stdout.write(text);
      // Two runs share the terminal: whole lines, each with whose it is.
      const lines = `${line}${text}`.split("\n");
      line = lines.pop();
      for (const whole of lines) process.stdout.write(`${label.padEnd(6)} | ${whole}\n`);
    });
    const end = (result) => {
      running.delete(child);
      done(result);
    };
    child.on("error", (error) => end({ code: 1, output: String(error) }));
    child.on("close", (code) => end({ code: code ?? 1, output }));
  });
}

function title(text) {
  console.log(`\n==> ${text}`);
}
