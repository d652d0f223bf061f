import { setTimeout as delay } from "node:timers/promises";
import { getHeapSpaceStatistics } from "node:v8";
import { Worker } from "node:worker_threads";
import { limitYoungGeneration } from "../../src/cli/young-generation.js";

/** Makes what lives for a while, as a scan does, starts a thread meanwhile, and prints the young generation's MiB. */
if (process.argv[2] === "limited") limitYoungGeneration();
let kept: object[] = [];
for (let turn = 0; turn < 30; turn += 1) {
  for (let at = 0; at < 60_000; at += 1) {
    kept.push({ at, of: [turn] });
    if (kept.length > 20_000) kept = [];
  }
  if (turn === 10) {
    const thread = new Worker("", { eval: true });
    await new Promise((done) => thread.once("exit", done));
    kept = [];
  }
  await delay(turn === 10 ? 120 : 0);
}
const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
process.stdout.write(`${(young?.space_size ?? 0) / 1024 / 1024}\n`);
