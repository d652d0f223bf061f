// Usage: node running.mjs ADDRESS BASE PROJECT RUNS. Builds the project's sources upon the base once, prints a line, waits
// for one, builds as often as asked, and prints what each took and the largest resident size. Nothing changes meanwhile.

import { once } from "node:events";
import { join } from "node:path";
import { Engine, Image, ociLayout } from "../../dist/index.js";

const [address, base, cwd, runs] = process.argv.slice(2);
const engine = await Engine.connect({ host: address });
const build = async () => {
  // A server makes its chain anew for every request.
  const image = Image.fromRegistry(base).addLocalDir("sources", "/context", { copy: true });
  await engine.build(image, { cwd, outputs: [ociLayout(join(cwd, "out-running"))] }).result;
};
await build();
process.stdout.write("{}\n");
await once(process.stdin, "data");
const ms = [];
for (let index = 0; index < Number(runs); index += 1) {
  const begun = performance.now();
  await build();
  ms.push(performance.now() - begun);
}
const peakMb = (process.resourceUsage().maxRSS * 1024) / 1e6;
process.stdout.write(`${JSON.stringify({ ms, peakMb })}\n`);
process.stdin.destroy();
await engine.close();
