// `npm test`: everything, from a fresh clone on a Debian machine with Node. Ends with "N passed, N failed, N skipped".
import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { prepare } from "./prepare.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
const totals = { passed: 0, failed: 0, skipped: 0 };
const seconds = [];
let started = [];
let current;
let interrupted = false;

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    interrupted = true;
    current?.kill(signal);
  });
}

await main();

async function main() {
  try {
    prepare(root);
    await checks();
    await suite("unit");
    if (!interrupted && (await engines())) await suite("integration");
  } catch (error) {
    totals.failed += 1;
    console.error(error);
  } finally {
    await tearDown();
  }
  if (interrupted) totals.failed += 1;
  title("Seconds per file");
  for (const { file, spent } of seconds.sort((a, b) => b.spent - a.spent))
    console.log(`${spent.toFixed(1).padStart(7)}  ${file}`);
  console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
}

async function checks() {
  title("Checks");
  const begun = Date.now();
  const { code, output } = await run("npm", ["run", "--silent", "check", "--", "--without-tests"]);
  const summary = /checks: (\d+) passed, (\d+) failed/.exec(output);
  totals.passed += Number(summary?.[1] ?? 0);
  totals.failed += summary === null ? 1 : Number(summary[2]);
  if (code !== 0 && summary !== null && Number(summary[2]) === 0) totals.failed += 1;
  seconds.push({ file: "checks", spent: (Date.now() - begun) / 1000 });
}

async function suite(project) {
  if (interrupted) return;
  title(`Tests: ${project}`);
  const report = join(tmpdir(), `kiln-${process.pid}-${project}.json`);
  const { code } = await run("npx", [
    "vitest",
    "run",
    "--project",
    project,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ]);
  const failedBefore = totals.failed;
  try {
    count(JSON.parse(readFileSync(report, "utf8")));
  } finally {
    rmSync(report, { force: true });
  }
  // A file that cannot be loaded, or an unhandled rejection, fails the run without failing a test.
  if (code !== 0 && totals.failed === failedBefore) totals.failed += 1;
}

function count({ testResults }) {
  for (const { name, assertionResults, startTime, endTime, status, message } of testResults) {
    seconds.push({ file: relative(root, name), spent: (endTime - startTime) / 1000 });
    if (status === "failed" && assertionResults.length === 0) {
      totals.failed += 1;
      console.log(`failed to load: ${relative(root, name)}: ${message}`);
    }
    for (const { status: outcome, fullName, meta } of assertionResults) {
      if (outcome === "passed") totals.passed += 1;
      else if (outcome === "failed") totals.failed += 1;
      else {
        totals.skipped += 1;
        console.log(`skipped: ${fullName}${meta?.reason === undefined ? "" : `: ${meta.reason}`}`);
      }
    }
  }
}

async function engines() {
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

function run(command, args) {
  return new Promise((done) => {
    let output = "";
    current = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    current.stdout.setEncoding("utf8");
    current.stdout.on("data", (text) => {
      output += text;
      process.stdout.write(text);
    });
    current.on("error", (error) => done({ code: 1, output: String(error) }));
    current.on("close", (code) => done({ code: code ?? 1, output }));
  });
}

function title(text) {
  console.log(`\n==> ${text}`);
}
