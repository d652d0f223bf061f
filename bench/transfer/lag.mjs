// Usage: node lag.mjs ADDRESS DIRECTORY. Builds an image of the directory and prints the event loop's lag meanwhile.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { Engine, Image } from "../../dist/index.js";

const [address, dir] = process.argv.slice(2);
const resolutionMs = 1;
const lag = monitorEventLoopDelay({ resolution: resolutionMs });
const engine = await Engine.connect({ host: address });
const image = Image.fromRegistry("busybox:1.36").addLocalDir(dir, "/context", { copy: true });
lag.enable();
await engine.build(image).result;
lag.disable();
await engine.close();
// The histogram holds the time between two turns that should be `resolution` apart.
const ms = (nanoseconds) => nanoseconds / 1e6 - resolutionMs;
process.stdout.write(JSON.stringify({ p99: ms(lag.percentile(99)), max: ms(lag.max), mean: ms(lag.mean) }));
