// Runs a benchmark: npm run bench -- NAME
//
// Compiles the sources first, so that what is measured is what users get. Prints a table, writes
// bench/results/NAME.json if all of it was measured, and exits with 1 if a bound was missed, with 2 on wrong use.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [name, ...rest] = process.argv.slice(2);
const script = join(here, name ?? "", "index.mjs");
if (name === undefined || rest.length > 0 || !/^[a-z0-9-]+$/.test(name) || !existsSync(script)) {
  const names = readdirSync(here).filter((entry) => existsSync(join(here, entry, "index.mjs")));
  console.error(`usage: npm run bench -- NAME\nbenchmarks: ${names.join(", ")}`);
  process.exit(2);
}

const built = spawnSync(process.execPath, [join(here, "../scripts/build.mjs")], { stdio: "inherit" });
if (built.status !== 0) process.exit(built.status ?? 1);

/**
 * `complete: false` = only some of it was measured, or too seldom; `failed` = some of it could not be.
 *
 * @type {{ run(): Promise<{ rows: readonly object[], bounds: readonly { name: string, value: number, limit: number, unit: string }[], notes: readonly string[], complete?: boolean, failed?: boolean }> }}
 */
const benchmark = await import(pathToFileURL(script).href);
const { rows, bounds, notes, complete = true, failed = false } = await benchmark.run();
console.table(rows);
for (const { name: bound, value, limit, unit } of bounds) {
  const verdict = value <= limit ? "kept" : "MISSED";
  console.log(
    `${verdict}: ${bound}: ${value.toFixed(unit === "times" ? 3 : 1)} ${unit} of at most ${limit} ${unit}`,
  );
}
for (const note of notes) console.log(`note: ${note}`);
if (complete) {
  const machine = { node: process.version, cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length };
  mkdirSync(join(here, "results"), { recursive: true });
  const result = { benchmark: name, at: new Date().toISOString(), machine, rows, bounds, notes };
  writeFileSync(join(here, "results", `${name}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
} else {
  console.log("not all of it was measured, or fewer times than it takes: bench/results is left as it is");
}
if (failed || bounds.some(({ value, limit }) => value > limit)) process.exitCode = 1;
