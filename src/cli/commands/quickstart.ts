import { join, resolve } from "node:path";
import type { Command } from "commander";
import pc from "picocolors";
import type { BuildResult } from "../../engine/build.js";
import { Engine } from "../../engine/engine.js";
import { NoDaemonError } from "../../engine/no-daemon-error.js";
import { classicStoreHint, ociLayout } from "../../engine/outputs.js";
import { KilnError } from "../../errors.js";
import type { ImageStoreKind } from "../../model/daemon.js";
import { defaultPrefix, engineUp, pythonLayout } from "../../provision/index.js";
import { addConnectFlags, type ConnectFlags } from "../connect-flags.js";
import { follow } from "../follow.js";
import { withInterrupt } from "../interrupt.js";
import { chooseView } from "../progress/choose-view.js";
import { formatDuration } from "../progress/frame.js";
import { provisionProgress } from "../provision-progress.js";
import { loadRecipe } from "../recipe.js";

interface QuickstartFlags extends ConnectFlags {
  readonly example: string;
  readonly prefix: string;
  readonly progress: string;
}

/** What the example starts from where Docker Hub can be reached. */
const hubBase = "python:3.13-slim";
const hubProbe = "https://registry-1.docker.io/v2/";
const hubPatienceMs = 3_000;

/** Adds `kiln quickstart`: the README's first command, from nothing to a built image and a command run in it. */
export function addQuickstartCommand(program: Command): void {
  const command = program
    .command("quickstart", { hidden: true })
    .description("build the example on a BuildKit that is found or set up")
    .option("--example <dir>", "directory of the example", "examples/quickstart")
    .option("--prefix <dir>", "folder of the private engine", defaultPrefix())
    .option("--progress <mode>", "see kiln build", "auto");
  addConnectFlags(command).action((flags: QuickstartFlags) =>
    withInterrupt((signal) => quickstart(flags, signal)),
  );
}

async function quickstart(flags: QuickstartFlags, signal: AbortSignal): Promise<void> {
  const dir = resolve(flags.example);
  const prefix = resolve(flags.prefix);
  const out = join(dir, "out");
  const engine = await findEngine(flags, prefix, signal);
  try {
    await chooseBase(prefix, signal);
    const build = async (): Promise<BuildResult> => {
      const image = await loadRecipe(join(dir, "image.ts"), process.cwd());
      return follow(
        engine.build(image, { outputs: [ociLayout(out)], cwd: dir, signal }),
        chooseView(flags.progress),
      );
    };
    title("Building examples/quickstart/image.ts");
    const first = await build();
    say(
      `built in ${formatDuration(first.durationMs)}: ${first.cache.ran} steps ran, ${first.cache.cached} cached`,
    );
    say(`wrote the OCI layout ${out}`);
    title("Running the image's command in the result");
    const run = engine.run({ dir: out }, { signal });
    for await (const event of run) if (event.type === "log") process.stdout.write(event.text);
    const { exitCode } = await run.result;
    if (exitCode !== 0) {
      say(`the command ended with exit code ${exitCode}`);
      process.exitCode = 1;
      return;
    }
    title("Building again: nothing has changed");
    const second = await build();
    say(
      `the second build took ${formatDuration(second.durationMs)} (the first ${formatDuration(first.durationMs)}): ` +
        `${second.cache.ran} steps ran, ${second.cache.cached} cached`,
    );
    title("Next");
    say(
      `change examples/quickstart/app/hello.py or image.ts, then: npx kiln build examples/quickstart/image.ts -o oci:./out`,
    );
    say(`the engine stays up at ${engine.address}; \`npx kiln engine down\` stops the private one`);
  } finally {
    await engine.close();
  }
}

/** A usable BuildKit that is there, else the private engine. A Docker with the classic store is told of and passed over. */
async function findEngine(flags: QuickstartFlags, prefix: string, signal: AbortSignal): Promise<Engine> {
  title("Looking for a BuildKit");
  try {
    const engine = await Engine.connect({ host: flags.host });
    const store = await storeOf(engine, signal);
    if (store !== undefined && store !== "classic") {
      say(`using ${engine.address} (from ${engine.source})`);
      return engine;
    }
    await engine.close();
    if (store === undefined) say(`nothing answers at ${engine.address}: going on with a private engine`);
    else
      say(`${engine.address} uses Docker's classic image store, which cannot do this. ${classicStoreHint}`);
    if (flags.host !== undefined) say("Going on with a private engine instead.");
  } catch (error) {
    if (!(error instanceof NoDaemonError)) throw error;
    if (error.candidates.some(({ explicit }) => explicit)) throw error;
    say("none is running here; setting up a private one from Debian's packages");
  }
  const progress = provisionProgress();
  const running = await engineUp({ prefix, onProgress: progress.show, signal }).finally(progress.close);
  say(`${running.reused ? "using" : "started"} Docker ${running.dockerVersion} at ${running.address}`);
  return Engine.connect({ host: running.address });
}

/** A daemon's image store; `undefined` for a socket that was found, but that nobody listens at any more. */
async function storeOf(engine: Engine, signal: AbortSignal): Promise<ImageStoreKind | undefined> {
  try {
    return (await engine.facts({ signal })).store;
  } catch (error) {
    const isNamed = ["host", "KILN_HOST", "BUILDKIT_HOST"].includes(engine.source);
    if (!isNamed && error instanceof KilnError && error.code === "ERR_KILN_CONNECT_FAILED") return undefined;
    throw error;
  }
}

/** Tells the example, by its environment, what to start from: Docker Hub's image, or a base made here. */
async function chooseBase(prefix: string, signal: AbortSignal): Promise<void> {
  if (
    process.env["KILN_QUICKSTART_BASE"] !== undefined ||
    process.env["KILN_QUICKSTART_LAYOUT"] !== undefined
  )
    return;
  if (await isHubReachable(signal)) {
    process.env["KILN_QUICKSTART_BASE"] = hubBase;
    say(`Docker Hub answers: starting from ${hubBase}`);
    return;
  }
  title("Docker Hub cannot be reached: making a base image without a registry");
  const progress = provisionProgress();
  const layout = await pythonLayout({ prefix, onProgress: progress.show, signal }).finally(progress.close);
  process.env["KILN_QUICKSTART_LAYOUT"] = layout;
  say(`base image: ${layout}`);
}

async function isHubReachable(signal: AbortSignal): Promise<boolean> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(hubPatienceMs)]);
  const response = await fetch(hubProbe, { signal: patience }).catch(() => undefined);
  signal.throwIfAborted();
  // The registry asks anonymous visitors for a token: that is an answer.
  return response !== undefined && (response.status === 200 || response.status === 401);
}

function title(text: string): void {
  process.stderr.write(`\n${pc.bold(`==> ${text}`)}\n`);
}

function say(text: string): void {
  process.stderr.write(`    ${text}\n`);
}
