// What the second build costs, beside docker buildx on the same engine: nothing changed, one file changed, a fresh clone,
// and the first build. Whole commands; peer and Kiln in turn; medians.
//
// KILN_BENCH_ROWS=noop-10k,push-10k  measures these rows alone, anew
// KILN_BENCH_RUNS=3                  runs a row, default 7; fewer than 7 are a trial
//
// Every finished row is kept under .kiln/bench: started again, the benchmark goes on with the rows that are missing, unless
// Kiln was changed meanwhile. bench/results is written once all rows were measured with 7 runs.

import { spawn, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { benchEngines, remove } from "../support/bench-engine.mjs";
import { context, pieceOf } from "../support/contexts.mjs";
import { countingProxy, difference } from "../support/counting-proxy.mjs";
import { kilnCli } from "../support/kiln-cli.mjs";
import { checkInterrupt, endOnInterrupt } from "../support/measured-run.mjs";
import { emptyRun, nodeRelease } from "../support/node-release.mjs";
import { buildx } from "../support/peer.mjs";
import { rowStore } from "../support/row-store.mjs";
import { median, rounded } from "../support/statistics.mjs";
import { cloneProject, editFile, makeProject } from "./project.mjs";

const wantedRuns = 7;
const runs = Number(process.env.KILN_BENCH_RUNS ?? wantedRuns);
const only = process.env.KILN_BENCH_ROWS?.split(",");
const timeoutMs = 600_000;
const memoryLimitMb = 150;
const scatter = 2;
const count = "find /context -type f | wc -l > /count";

/** `limit` = what Kiln may take of buildx's time. */
const cases = [
  { id: "noop-100k", files: "100k", says: "no-op", limit: 0.2, measure: measureNoop },
  { id: "noop-10k", files: "10k", says: "no-op", limit: 0.25, measure: measureNoop },
  {
    id: "noop-10k-node24",
    files: "10k",
    says: "no-op, by Node 24",
    node: "24",
    limit: 0.25,
    measure: measureNoop,
  },
  { id: "noop-10k-tag", files: "10k", says: "no-op, base by its tag", tag: true, measure: measureNoop },
  {
    id: "running-10k",
    files: "10k",
    says: "no-op in a running process",
    limitMs: 100,
    measure: measureRunning,
  },
  {
    id: "change-100k",
    files: "100k",
    says: "one file changed, one command after",
    after: [count],
    random: true,
    limit: 0.1,
    measure: measureChange,
  },
  {
    id: "change-100k-before",
    files: "100k",
    says: "one file changed, two commands before, one after",
    before: ["echo one > /one", "echo two > /two"],
    after: [count],
    limit: 0.35,
    measure: measureChange,
  },
  {
    id: "push-10k",
    files: "10k",
    says: "one file changed, nothing after, pushed",
    limit: 0.15,
    push: true,
    random: true,
    measure: measureChange,
  },
  { id: "first-100k", files: "100k", says: "first build", limit: 0.7, measure: measureFirst },
  { id: "clone-100k", files: "100k", says: "fresh clone", limit: 0.2, measure: measureClone },
];

export async function run() {
  const unknown = only?.filter((id) => !cases.some((row) => row.id === id)) ?? [];
  if (unknown.length > 0) {
    throw new Error(`no row is called ${unknown}; there are ${cases.map(({ id }) => id)}`);
  }
  endOnInterrupt();
  const engines = await benchEngines();
  const store = rowStore(join(engines.prefix, "bench", "rebuild.json"), { runs });
  const work = join(engines.prefix, "bench", "rebuild");
  remove(work);
  const failures = [];
  try {
    const tools = { peer: await buildx(engines), kiln: kilnCli };
    for (const row of cases) {
      if (only === undefined ? store.get(row.id) !== undefined : !only.includes(row.id)) continue;
      try {
        store.set(row.id, await measureRow(row, { engines, tools, work: join(work, row.id) }));
      } catch (error) {
        checkInterrupt();
        console.error(`${row.id}: ${error.message}`);
        failures.push(`${row.id} was not measured: ${error.message.split("\n")[0]}`);
      }
    }
  } finally {
    await engines.stop();
    remove(work);
  }
  const complete = runs >= wantedRuns && cases.every(({ id }) => store.get(id) !== undefined);
  const summary = summaryOf(store, failures);
  if (complete) store.clear();
  return { ...summary, complete, failed: failures.length > 0 };
}

function summaryOf(store, failures) {
  const measured = cases.map(({ id }) => store.get(id)).filter((result) => result !== undefined);
  const rows = measured.flatMap((result) => result.rows);
  const big = measured.filter(({ files }) => files === "100k").flatMap((result) => result.rows);
  const bounds = measured.flatMap((result) => result.bounds);
  if (big.length > 0) {
    const peak = Math.max(...big.map((row) => row["kiln MB"]));
    bounds.push({ name: "100,000 files: peak memory", value: peak, limit: memoryLimitMb, unit: "MB" });
  }
  const restless = measured.flatMap((result) => result.restless);
  const notes = [
    ...new Set(measured.map(({ description }) => description)),
    `whole commands but in the row of a running process; medians of ${runs} (column runs), in turn; ` +
      "an engine of its own for every row, and for every first build",
    "kiln MB: the largest resident size of a process, its worker threads included; " +
      "to daemon MB, connections: the largest of a run, counted at the daemon's socket (Kiln alone goes through the counter)",
    ...measured.flatMap((result) => result.notes),
    ...(restless.length === 0
      ? []
      : [
          `runs of ${restless.join(", ")} scatter by more than ${scatter} times: ext4 makes files slowly for ` +
            "minutes after many were deleted; let the machine rest and measure these rows again",
        ]),
    ...failures,
  ];
  return { rows, bounds, notes };
}

async function measureRow(row, { engines, tools, work }) {
  console.log(`\n${nameOf(row)} (${row.id})`);
  const { prefix, base, registry } = engines;
  const bench = {
    ...{ engines, tools, work, registry },
    node: row.node === undefined ? process.execPath : nodeRelease(prefix, row.node),
    samples: [],
    notes: [],
    bounds: [],
    project: makeProject(join(work, "project"), {
      ...row,
      prefix,
      base: row.tag === true ? base.tagged : base.pinned,
    }),
  };
  bench.setUp = async () => {
    await bench.proxy?.close();
    const engine = await engines.fresh({ small: false });
    bench.description = `${engine.description}, docker-buildx ${tools.peer.version}`;
    bench.socket = engine.socket;
    bench.proxy = await countingProxy(join(work, "kiln.sock"), engine.socket, { needles: pieces(row) });
    // Never the user's, and without what another engine's builds left in it.
    bench.cacheDir = join(work, "cache", String(Date.now()));
  };
  try {
    await row.measure(row, bench);
  } finally {
    await bench.proxy?.close();
  }
  const phases = [...new Set(bench.samples.flatMap(({ phase }) => phase ?? []))];
  const rows = phases.map((phase) =>
    figures(
      row,
      phase,
      bench.samples.filter((sample) => sample.phase === phase),
    ),
  );
  if (row.limit !== undefined) {
    bench.bounds.push({
      name: `${nameOf(row)}: wall time against buildx`,
      value: rows.find(({ id }) => id === row.id)["of buildx"],
      limit: row.limit,
      unit: "times",
    });
  }
  const restless = rows.filter((figure) => figure.scatter > scatter).map(({ id }) => id);
  const { bounds, notes, description } = bench;
  return { files: row.files, rows, bounds, notes, description, restless, at: new Date().toISOString() };
}

function nameOf({ files, says }) {
  return `${context(files).says}: ${says}`;
}

/** One build by one tool. `phase` = which of the row's figures it counts for; `undefined` = none. */
async function build(row, bench, tool, { project = bench.project, phase } = {}) {
  const out = join(project.dir, `out-${tool}`);
  const name = `${bench.registry}/bench/${row.id}-${tool}:latest`;
  const args = {
    peer: () => [
      ...["--provenance=false", "-f", project.dockerfile],
      row.push === true ? `--output=type=registry,name=${name}` : `--output=type=oci,tar=false,dest=${out}`,
      project.sources,
    ],
    kiln: () => [
      ...[project.recipe, "--cwd", project.dir],
      ...["-o", row.push === true ? `registry:${name}` : `oci:${out}`],
    ],
  };
  const engine = { socket: bench.socket, address: bench.proxy.address };
  spawnSync("sync");
  const before = bench.proxy.counted();
  const options = { timeoutMs, env: { KILN_CACHE_DIR: bench.cacheDir }, node: bench.node };
  const { seconds, peakMb } = await bench.tools[tool].build(engine, args[tool](), options);
  const passed = difference(before, bench.proxy.counted());
  const sample = { tool, phase, seconds, peakMb, ...(tool === "kiln" ? passed : {}) };
  bench.samples.push(sample);
  const traffic =
    tool === "kiln" ? `, ${(passed.sent / 1e6).toFixed(2)} MB in ${passed.connections} connections` : "";
  console.log(
    `${(phase ?? "warm-up").padEnd(20)} ${tool.padEnd(5)} ${seconds.toFixed(2).padStart(7)} s, ` +
      `${peakMb.toFixed(0)} MB${traffic}`,
  );
  return sample;
}

/** Each tool once; the one that begins takes turns. */
async function both(row, bench, index, options) {
  const order = ["peer", "kiln"];
  if (index % 2 === 1) order.reverse();
  for (const tool of order) await build(row, bench, tool, options);
}

async function measureNoop(row, bench) {
  await bench.setUp();
  await both(row, bench, 0);
  // The first one after a build may still tidy up after it.
  await both(row, bench, 0);
  for (let index = 0; index < runs; index += 1) await both(row, bench, index, { phase: row.id });
  const { version, seconds } = emptyRun(bench.node);
  bench.notes.push(
    `${row.id} ran by Node ${version}, which takes ${seconds.toFixed(2)} s for an empty program`,
  );
}

/** The same file is edited again and again; before that, once for the first time; after that, always another one. */
async function measureChange(row, bench) {
  await bench.setUp();
  await both(row, bench, 0);
  const total = { "10k": 10_000, "100k": 100_000 }[row.files];
  const edited = total / 2 + 37;
  const rounds = [
    { phase: `${row.id}-first`, times: 1, file: () => edited },
    { phase: row.id, times: runs, file: () => edited },
  ];
  if (row.random === true) {
    const random = (index) => (7919 * (index + 3)) % total;
    rounds.push({ phase: `${row.id}-random`, times: Math.min(runs, 3), file: random });
  }
  for (const { phase, times, file } of rounds) {
    for (let index = 0; index < times; index += 1) {
      editFile(bench.project, file(index), `${phase}, edit ${index}`);
      await both(row, bench, index, { phase });
    }
  }
}

/** Nothing is known to anybody: an engine of its own for each build, and an empty index. */
async function measureFirst(row, bench) {
  for (let index = 0; index < runs; index += 1) {
    for (const tool of ["peer", "kiln"]) {
      await bench.setUp();
      rmSync(join(bench.project.dir, `out-${tool}`), { recursive: true, force: true });
      await build(row, bench, tool, { phase: row.id });
    }
  }
}

/** The project again, at another place, by the same index and engine. Outputs go to another place, too. */
async function measureClone(row, bench) {
  await bench.setUp();
  await both(row, bench, 0);
  const { seen } = bench.proxy.counted();
  for (let index = 0; index < runs; index += 1) {
    for (const tool of ["peer", "kiln"]) {
      rmSync(join(bench.project.dir, `out-${tool}`), { recursive: true, force: true });
    }
    const project = cloneProject(bench.project, join(bench.work, `clone-${index}`));
    await both(row, bench, index, { project, phase: row.id });
  }
  const clones = bench.samples.filter(({ tool, phase }) => tool === "kiln" && phase !== undefined);
  bench.bounds.push({
    name: `${nameOf(row)}: pieces of the files' content seen on their way to the daemon`,
    value: Math.max(...clones.map((sample) => sample.seen)),
    limit: 0,
    unit: "pieces",
  });
  bench.notes.push(
    `fresh clone: of the ${pieces(row).length} pieces of content that were looked for, the first build sent ${seen} ` +
      "(0: they were packed, and only the sum of bytes tells)",
  );
}

/** Kiln's builds in one process that goes on; buildx has none, and its whole command stands beside. */
async function measureRunning(row, bench) {
  await bench.setUp();
  for (let index = 0; index <= runs; index += 1) {
    await build(row, bench, "peer", { phase: index === 0 ? undefined : row.id });
  }
  const { project, proxy } = bench;
  const { base } = bench.engines;
  const args = [proxy.address, base.pinned, project.dir, String(runs)];
  const child = spawn(process.execPath, [join(import.meta.dirname, "running.mjs"), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, KILN_CACHE_DIR: bench.cacheDir },
  });
  const watchdog = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value ?? "null");
    if ((await next()) === null) throw new Error("the process ended before its first build was done");
    // What the first build left open may still close.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const before = proxy.counted();
    child.stdin.write("go\n");
    const measured = await next();
    if (measured === null) throw new Error("the process ended before its builds were done");
    const passed = difference(before, proxy.counted());
    for (const ms of measured.ms) {
      bench.samples.push({
        tool: "kiln",
        phase: row.id,
        seconds: ms / 1000,
        peakMb: measured.peakMb,
        ...passed,
      });
      console.log(`${row.id.padEnd(20)} kiln ${ms.toFixed(1)} ms`);
    }
    const name = nameOf(row);
    bench.bounds.push(
      { name, value: median(measured.ms), limit: row.limitMs, unit: "ms" },
      {
        name: `${name}: connections to the daemon`,
        value: passed.connections,
        limit: 0,
        unit: "connections",
      },
      { name: `${name}: sent to the daemon`, value: passed.sent, limit: 0, unit: "bytes" },
    );
  } finally {
    clearTimeout(watchdog);
    child.kill("SIGKILL");
  }
}

function pieces({ id }) {
  if (id !== "clone-100k") return [];
  return Array.from({ length: 16 }, (_, index) => pieceOf(index * 2000 + 11));
}

function figures(row, id, samples) {
  const of = (tool, key) => samples.filter((sample) => sample.tool === tool).map((sample) => sample[key]);
  const [peer, kiln] = [of("peer", "seconds"), of("kiln", "seconds")];
  const range = (values) => `${rounded(Math.min(...values))}–${rounded(Math.max(...values))}`;
  const scattered = (values) => Math.max(...values) / Math.min(...values);
  const phase = {
    [`${row.id}-first`]: ", the first edit of it",
    [`${row.id}-random`]: ", another one each time",
  };
  return {
    id,
    case: `${nameOf(row)}${phase[id] ?? ""}`,
    runs: kiln.length,
    "buildx s": rounded(median(peer)),
    "buildx range": range(peer),
    "kiln s": rounded(median(kiln), 3),
    "kiln range": range(kiln),
    "of buildx": rounded(median(kiln) / median(peer), 3),
    "buildx MB": rounded(Math.max(...of("peer", "peakMb")), 0),
    "kiln MB": rounded(Math.max(...of("kiln", "peakMb")), 0),
    "to daemon MB": rounded(Math.max(...of("kiln", "sent")) / 1e6, 2),
    connections: Math.max(...of("kiln", "connections")),
    scatter: rounded(Math.max(scattered(peer), scattered(kiln))),
  };
}
