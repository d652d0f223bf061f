// `npm test`: everything, from a fresh clone on a Debian machine with Node. Ends with "N passed, N failed, N skipped".
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { prepare } from "./prepare.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
const totals = { passed: 0, failed: 0, skipped: 0 };
const seconds = [];
const failures = [];
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
    const processor = suite("unit").then(() => suite("processes"));
    const beside = processor.then(() => suite("architecture", { label: "house" })).then(checks);
    const ready = Promise.all([processor, engines()]).then(([, areUp]) => areUp);
    // Tests on engines mostly wait for these: of what needs but a processor, what keeps no time may run beside them.
    await Promise.all([beside, ready.then((areUp) => (areUp ? integration() : undefined))]);
  } catch (error) {
    fail("npm test", error.stack ?? String(error));
  } finally {
    await tearDown();
  }
  if (interrupted) fail("npm test", "interrupted: what had not run yet did not");
  for (const outcome of counted.values()) totals[outcome] += 1;
  title("Seconds per file");
  for (const { file, spent } of seconds.sort((a, b) => b.spent - a.spent))
    console.log(`${spent.toFixed(1).padStart(7)}  ${file}`);
  printFailures();
  console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
}

/** Something failed that is not a test. */
function fail(what, message) {
  totals.failed += 1;
  failures.push({ what, message });
  console.error(`${what}: ${message}`);
}

/** Once more what failed and why: a log that is cut is cut at its front. */
function printFailures() {
  if (failures.length === 0) return;
  title("What failed");
  for (const { what, message } of failures) {
    const all = stripVTControlCharacters(message).trimEnd().split("\n");
    const lines = all.filter((line) => !/^\s+at .*\/node_modules\//.test(line));
    console.log(`\n✗ ${what}`);
    for (const line of lines.slice(0, 15)) console.log(`    ${line.slice(0, 300)}`);
    if (lines.length > 15) console.log(`    (${lines.length - 15} more lines are further up)`);
  }
}

/** The end of a run's output, as much as a failure has lines. */
function tail(output, lines = 15) {
  return stripVTControlCharacters(output).trimEnd().split("\n").slice(-lines).join("\n");
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
  const text = stripVTControlCharacters(output);
  const summary = /checks: (\d+) passed, (\d+) failed/.exec(text);
  totals.passed += Number(summary?.[1] ?? 0);
  // Below a check that failed stands what it printed, indented.
  const failed = [...text.matchAll(/^✗ (\S+).*\n((?: {4}.*\n?)*)/gm)];
  for (const [, name, printed] of failed) {
    failures.push({ what: `checks: ${name}`, message: tail(printed.replace(/^ {4}/gm, "")) });
  }
  totals.failed += failed.length;
  if (summary === null || Number(summary[2]) !== failed.length || (code !== 0 && failed.length === 0)) {
    fail("checks", tail(output));
  }
  seconds.push({ file: "checks", spent: (Date.now() - begun) / 1000 });
}

/** `label` tells runs apart that share the terminal; default the one engine that the run knows. */
async function suite(project, { files = [], engine, label = engine } = {}) {
  if (interrupted) return;
  title(`Tests: ${project}${label === undefined ? "" : ` (${label})`}`);
  const report = join(tmpdir(), `kiln-${process.pid}-${project}-${label}.json`);
  const others = `${report}.others`;
  const { code, output } = await run(
    "npx",
    [
      ...["vitest", "run", "--project", project, ...files, "--reporter=default"],
      ...["--reporter=json", `--outputFile.json=${report}`, "--reporter=./scripts/other-errors.mjs"],
    ],
    {
      label,
      env: {
        ...process.env,
        KILN_TEST_OTHER_ERRORS: others,
        ...(engine === undefined ? {} : { KILN_TEST_ENGINES: engine }),
      },
    },
  );
  const what = `${project}${label === undefined ? "" : ` (${label})`}`;
  try {
    const clean = count(JSON.parse(readFileSync(report, "utf8")), engine);
    const errors = JSON.parse(readFileSync(others, "utf8"));
    for (const { where, message } of errors) fail(`${what}: ${where.replace(`${root}/`, "")}`, message);
    if (code !== 0 && clean && errors.length === 0) fail(what, tail(output));
  } catch (error) {
    // It broke off.
    fail(`${what}: no report`, `${error.message}\n${tail(output)}`);
  } finally {
    rmSync(report, { force: true });
    rmSync(others, { force: true });
  }
}

// Files whose tests know one engine at a time run on both engines at once: they mostly wait for their daemon. Those that
// start and stop an engine of their own, which is one and the same, run when one of the two is done; the rest, when both are.
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
  const engineLanes = ["modern", "older"].map((engine) =>
    suite("integration", { files: paths(lanes[engine]), engine }),
  );
  const lane = (label) => suite("integration", { files: paths(lanes[label]), label });
  await Promise.all([
    Promise.race(engineLanes).then(() => lane("own")),
    Promise.all(engineLanes).then(() => lane("both")),
  ]);
}

/** Takes in what a run reports; false if a test failed. A test that does not know engines runs with each, and counts once. */
function count({ testResults }, engine) {
  let clean = true;
  const seen = new Map();
  for (const { name, assertionResults, startTime, endTime } of testResults) {
    const file = `${relative(root, name)}${engine === undefined ? "" : ` (${engine})`}`;
    seconds.push({ file, spent: (endTime - startTime) / 1000 });
    for (const { status: outcome, fullName, failureMessages, meta } of assertionResults) {
      // Titles may come twice in a file.
      const place = seen.get(`${name} ${fullName}`) ?? 0;
      seen.set(`${name} ${fullName}`, place + 1);
      const key = `${name} ${fullName} ${place}`;
      const known = counted.get(key);
      if (outcome === "failed") {
        clean = false;
        // The runner's report has a stand-in where a test ran out of its time.
        const message = (failureMessages ?? []).join("\n").replaceAll("STACK_TRACE_ERROR", "out of time");
        failures.push({ what: `${file} > ${fullName}`, message });
      } else if (outcome !== "passed" && known === undefined) {
        console.log(`skipped: ${fullName}${meta?.reason === undefined ? "" : `: ${meta.reason}`}`);
      }
      const kind = ["passed", "failed"].includes(outcome) ? outcome : "skipped";
      if (known !== "failed") counted.set(key, known === "passed" && kind === "skipped" ? known : kind);
    }
  }
  return clean;
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
    fail("engines", `${error.message}\n${error.hint ?? ""}`);
    return false;
  }
}

async function tearDown() {
  if (started.length === 0) return;
  title(`Stopping what was started: ${started.join(", ")}`);
  const { enginesDown } = await import("./engines.mjs");
  await enginesDown(started).catch((error) => fail("engines", error.stack ?? String(error)));
}

function run(command, args, { env = process.env, label } = {}) {
  return new Promise((done) => {
    let output = "";
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    running.add(child);
    for (const name of ["stdout", "stderr"]) {
      let line = "";
      child[name].setEncoding("utf8");
      child[name].on("data", (text) => {
        output += text;
        if (label === undefined) return process[name].write(text);
        // Two runs share the terminal: whole lines, each with whose it is.
        const lines = `${line}${text}`.split("\n");
        line = lines.pop();
        for (const whole of lines) process[name].write(`${label.padEnd(6)} | ${whole}\n`);
      });
    }
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
