// What goes over the session: first uploads of local trees and exports to this machine, beside docker buildx.
// Every command is timed whole, on a new engine and with an empty index of Kiln's, which would spare the next one all of
// it; medians of five, peer and Kiln in turn.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { benchEngines } from "../support/bench-engine.mjs";
import { context } from "../support/contexts.mjs";
import { kilnCli } from "../support/kiln-cli.mjs";
import { buildx } from "../support/peer.mjs";
import { median, rounded } from "../support/statistics.mjs";

const runs = Number(process.env.KILN_BENCH_RUNS ?? 5);
const only = process.env.KILN_BENCH_ROWS?.split(",");
const memoryLimitMb = 200;
const lagLimitMs = 50;

export async function run() {
  const engines = await benchEngines();
  const peer = await buildx(engines);
  const work = join(engines.prefix, "bench", "work");
  const rows = [];
  let description = "";
  try {
    for (const row of [...uploads(engines, work), ...exports(work)]) {
      if (only !== undefined && !only.includes(row.id)) continue;
      // Emptied with the rest of `work` before each build.
      const env = { KILN_CACHE_DIR: join(work, "index") };
      const kiln = { build: (engine, args) => kilnCli.build(engine, args, { env }) };
      const measured = await measureRow(row, { engines, tools: { peer, kiln }, work });
      description = measured.description;
      rows.push(measured.row);
    }
    const lag = only === undefined || only.includes("lag") ? await measureLag(engines) : undefined;
    const bounds = rows.flatMap((row) => [
      { name: `${row.case}: wall time against buildx`, value: row["of buildx"], limit: 1, unit: "times" },
      { name: `${row.case}: peak memory`, value: row["kiln MB"], limit: memoryLimitMb, unit: "MB" },
    ]);
    if (lag !== undefined) {
      bounds.push({
        name: `event loop's lag, 99th percentile, ${lag.says}`,
        value: lag.p99,
        limit: lagLimitMs,
        unit: "ms",
      });
    }
    const notes = [
      `${description}, docker-buildx ${peer.version}; whole commands, new engines and empty indexes, medians of ${runs}, in turn`,
      ...(lag === undefined
        ? []
        : [`event loop's lag: largest ${lag.max.toFixed(1)} ms, mean ${lag.mean.toFixed(2)} ms`]),
    ];
    return { rows, bounds, notes };
  } finally {
    rmSync(work, { recursive: true, force: true });
    await engines.stop();
  }
}

/** Both tools copy the same tree over the same base and write nothing. */
function uploads({ prefix }, work) {
  return ["10k", "100k", "1g"].map((id) => ({
    id: `upload-${id}`,
    small: id === "1g",
    name: () => `upload ${context(id, prefix).says}`,
    prepare() {
      const { dir } = context(id, prefix);
      writeFileSync(join(work, "Dockerfile"), "FROM busybox:1.36\nCOPY . /context\n");
      writeFileSync(
        join(work, "recipe.mjs"),
        recipe(
          `Image.fromRegistry("busybox:1.36").addLocalDir(${JSON.stringify(dir)}, "/context", { copy: true })`,
        ),
      );
      return dir;
    },
    peer: (dir) => ["--output=type=cacheonly", "-f", join(work, "Dockerfile"), dir],
    kiln: () => [join(work, "recipe.mjs")],
  }));
}

/** Both tools export what a step made that is in the engine's cache. */
function exports(work) {
  const command = "head -c 1073741824 /dev/urandom > /big.bin";
  const prepare = () => {
    mkdirSync(join(work, "empty"));
    writeFileSync(join(work, "Dockerfile"), `FROM busybox:1.36\nRUN ${command}\n`);
    writeFileSync(
      join(work, "recipe.mjs"),
      recipe(`Image.fromRegistry("busybox:1.36").runCommands(${JSON.stringify(command)})`),
    );
    return join(work, "empty");
  };
  const row = (id, name, peerOutput, kilnOutput) => ({
    id,
    small: true,
    name: () => name,
    prepare,
    warmUp: true,
    peer: (dir, out) => [
      ...(out === undefined ? ["--output=type=cacheonly"] : [`--output=${peerOutput(out)}`]),
      ...["--provenance=false", "-f", join(work, "Dockerfile"), dir],
    ],
    kiln: (_dir, out) => [join(work, "recipe.mjs"), ...(out === undefined ? [] : ["-o", kilnOutput(out)])],
  });
  return [
    row(
      "export-oci",
      "export 1 GiB as OCI tar",
      (out) => `type=oci,compression=uncompressed,dest=${out}/image.tar`,
      (out) => `type=oci,compression=uncompressed,dest=${out}/image.tar`,
    ),
    row(
      "export-local",
      "export 1 GiB as directory",
      (out) => `type=local,dest=${out}/files`,
      (out) => `local:${out}/files`,
    ),
  ];
}

function recipe(chain) {
  const entry = JSON.stringify(join(import.meta.dirname, "..", "..", "dist", "index.js"));
  return `import { Image } from ${entry};\nexport default ${chain};\n`;
}

async function measureRow(row, { engines, tools, work }) {
  const samples = { peer: [], kiln: [] };
  let description = "";
  for (let index = 0; index < runs; index += 1) {
    for (const [tool, { build }] of Object.entries(tools)) {
      rmSync(work, { recursive: true, force: true });
      mkdirSync(work, { recursive: true });
      const dir = row.prepare();
      const engine = await engines.fresh(row);
      description = engine.description;
      if (row.warmUp === true) await build(engine, row[tool](dir, undefined));
      const out = join(work, "out");
      mkdirSync(out);
      spawnSync("sync");
      const { seconds, peakMb } = await build(engine, row[tool](dir, out));
      samples[tool].push({ seconds, peakMb });
      console.log(`${row.name()}: ${tool} ${seconds.toFixed(2)} s, ${peakMb.toFixed(0)} MB`);
    }
  }
  const seconds = (tool) => samples[tool].map((sample) => sample.seconds);
  const spread = (tool) => `${rounded(Math.min(...seconds(tool)))}–${rounded(Math.max(...seconds(tool)))}`;
  const figures = {
    case: row.name(),
    "buildx s": rounded(median(seconds("peer"))),
    "buildx range": spread("peer"),
    "kiln s": rounded(median(seconds("kiln"))),
    "kiln range": spread("kiln"),
    "of buildx": rounded(median(seconds("kiln")) / median(seconds("peer")), 3),
    "buildx MB": rounded(Math.max(...samples.peer.map(({ peakMb }) => peakMb)), 0),
    "kiln MB": rounded(Math.max(...samples.kiln.map(({ peakMb }) => peakMb)), 0),
  };
  return { row: figures, description };
}

/** In a process of its own: what is measured is one build in a program that does nothing else. */
async function measureLag(engines) {
  const { address } = await engines.fresh({ small: false });
  const { dir, says } = context("100k", engines.prefix);
  const index = mkdtempSync(join(tmpdir(), "kiln-lag-"));
  const child = spawn(process.execPath, [join(import.meta.dirname, "lag.mjs"), address, dir], {
    env: { ...process.env, KILN_CACHE_DIR: index },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  for await (const chunk of child.stdout) text += chunk;
  rmSync(index, { recursive: true, force: true });
  return { says: `while ${says} are sent`, ...JSON.parse(text) };
}
