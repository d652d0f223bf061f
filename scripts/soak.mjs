// `npm run soak`: long waits and many repetitions, apart from `npm test`. Keeps the result of the last run.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { enginesDown, enginesUp, printProgress } from "./engines.mjs";
import { prepare } from "./prepare.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
prepare(root);
const begun = Date.now();
const started = await enginesUp({ onProgress: printProgress() });
try {
  const report = join(root, ".kiln", "soak-report.json");
  const { status } = spawnSync(
    "npx",
    [
      "vitest",
      "run",
      "--project",
      "soak",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
    ],
    { stdio: "inherit" },
  );
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, "utf8"));
  const result = {
    commit: execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim(),
    passed: numPassedTests,
    failed: numFailedTests,
    skipped: numPendingTests,
    seconds: Math.round((Date.now() - begun) / 1000),
  };
  mkdirSync(join(root, "bench", "results"), { recursive: true });
  writeFileSync(join(root, "bench", "results", "soak.json"), `${JSON.stringify(result, undefined, 2)}\n`);
  console.log(`${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped`);
  process.exitCode = status ?? 1;
} finally {
  await enginesDown(started);
}
