// How long a chain of commands takes from the first call to the bytes of its definition.

import { image, marshal } from "../../dist/llb/index.js";

/** Builds, marshals and encodes a chain in which every step also sets one of twenty variables. */
function compile(steps) {
  const times = [performance.now()];
  let state = image("alpine:3.20");
  for (let index = 0; index < steps; index += 1) {
    state = state
      .addEnv(`K${index % 20}`, "v")
      .run(["sh", "-c", `echo ${index}`])
      .root();
  }
  times.push(performance.now());
  const definition = marshal(state, { platform: "linux/amd64" });
  times.push(performance.now());
  const bytes = definition.toBinary();
  times.push(performance.now());
  const [start, built, marshalled, end] = times;
  if (definition.ops.length !== steps + 2) throw new Error(`${definition.ops.length} ops for ${steps} steps`);
  return {
    total: end - start,
    build: built - start,
    marshal: marshalled - built,
    encode: end - marshalled,
    bytes: bytes.length,
  };
}

function sample(steps, count) {
  const samples = [];
  for (let index = 0; index < count; index += 1) {
    samples.push(compile(steps));
  }
  const sorted = [...samples].sort((a, b) => a.total - b.total);
  const median = sorted[Math.floor(count / 2)];
  const ms = (value) => Number(value.toFixed(2));
  return {
    steps,
    samples: count,
    "median ms": ms(median.total),
    "min ms": ms(sorted[0].total),
    "max ms": ms(sorted[count - 1].total),
    "build ms": ms(median.build),
    "marshal ms": ms(median.marshal),
    "encode ms": ms(median.encode),
    "µs a step": ms((median.total * 1000) / steps),
    MiB: ms(median.bytes / 2 ** 20),
  };
}

export async function run() {
  const first = sample(10_000, 1);
  for (let index = 0; index < 5; index += 1) compile(10_000);
  const rows = [sample(1_000, 21), sample(10_000, 15)];
  // Every size is measured warm: the first long chain also pays for the growth of the heap.
  compile(100_000);
  rows.push(sample(100_000, 9));
  const [, ten, hundred] = rows.map((row) => row["median ms"]);
  return {
    rows: [{ ...first, samples: "first run" }, ...rows],
    bounds: [
      { name: "10,000 steps, median", value: ten, limit: 100, unit: "ms" },
      { name: "100,000 steps against 10,000", value: hundred / ten, limit: 12, unit: "times" },
    ],
    notes: ["Go's client took 25.3 s for 10,000 steps of such a chain: recorded, not measured in this run."],
  };
}
