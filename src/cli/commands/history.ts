import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import type { Client, HistoryAttestation, HistoryRecord } from "../../engine/daemon-records.js";
import { parseCount } from "../../engine/quantities.js";
import { KilnError } from "../../errors.js";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { describeBuild, historyTable } from "../describe-build.js";
import { withInterrupt } from "../interrupt.js";
import { formatBytes } from "../progress/frame.js";
import { jsonView } from "../progress/json.js";
import { plainView } from "../progress/plain.js";
import type { ProgressView } from "../progress/view.js";
import { errorToJson, renderError } from "../render-error.js";

interface JsonFlags extends ConnectFlags {
  readonly json?: boolean;
}

/** Adds `kiln history ls|logs|inspect|export|rm|pin|unpin`. */
export function addHistoryCommand(program: Command): void {
  const history = program.command("history").description("the builds that the daemon remembers");
  addList(history);
  addLogs(history);
  addInspect(history);
  addExport(history);
  addEach(history, "rm", "forget builds; what they made stays", (client, ref, signal) =>
    client.deleteHistory(ref, { signal }),
  );
  addEach(history, "pin", "keep builds when the daemon clears its history", (client, ref, signal) =>
    client.pinHistory(ref, true, { signal }),
  );
  addEach(history, "unpin", "let the daemon clear builds again", (client, ref, signal) =>
    client.pinHistory(ref, false, { signal }),
  );
}

function addList(history: Command): void {
  const command = history
    .command("ls")
    .description("list builds, newest first")
    .option("--running", "only those that run")
    .option("--limit <n>", "only the newest so many")
    .option("--json", "as JSON");
  addConnectFlags(command).action(
    (flags: JsonFlags & { readonly running?: boolean; readonly limit?: string }) =>
      withInterrupt(async (signal) => {
        const limit = flags.limit === undefined ? undefined : parseCount("--limit", flags.limit);
        const records = await withClient(flags, (client) =>
          client.history({ activeOnly: flags.running === true, limit, signal }),
        );
        process.stdout.write(flags.json === true ? `${JSON.stringify(records)}\n` : historyTable(records));
      }),
  );
}

function addLogs(history: Command): void {
  const command = history
    .command("logs")
    .description("print what a build did and what its steps printed")
    .argument("[ref]", "the build (default: the newest)")
    .option("--follow", "of a build that runs: go on until it ends")
    .option("--json", "one event a line");
  addConnectFlags(command).action(
    (ref: string | undefined, flags: JsonFlags & { readonly follow?: boolean }) =>
      withInterrupt(async (signal) => {
        await withClient(flags, async (client) => {
          const record = await findRecord(client, ref, signal);
          if (record.state === "running" && flags.follow !== true) throw stillRuns(record.ref);
          const view = stdoutView(flags.json === true);
          try {
            for await (const event of client.follow(record.ref, { signal })) view.show(event);
          } finally {
            view.close();
          }
        });
      }),
  );
}

function addInspect(history: Command): void {
  const command = history
    .command("inspect")
    .description("show what is known of a build and what the daemon keeps of it")
    .argument("[ref]", "the build (default: the newest)")
    .option("--blob <digest>", "write that blob to standard output in place of all else")
    .option("--json", "as JSON");
  addConnectFlags(command).action((ref: string | undefined, flags: JsonFlags & { readonly blob?: string }) =>
    withInterrupt((signal) =>
      withClient(flags, async (client) => {
        const record = await findRecord(client, ref, signal);
        const attestations = await attestationsOf(client, record, signal);
        if (flags.blob !== undefined) {
          await writeBlob(client, { record, attestations, digest: flags.blob, signal });
          return;
        }
        const error = await client.historyError(record.ref, { signal });
        if (flags.json === true) {
          const failure = error === undefined ? undefined : errorToJson(error);
          process.stdout.write(`${JSON.stringify({ ...record, attestations, failure })}\n`);
          return;
        }
        process.stdout.write(describeBuild({ ...record, attestations }));
        if (error !== undefined) process.stdout.write(`${renderError(error)}\n`);
      }),
    ),
  );
}

interface ExportFlags extends JsonFlags {
  readonly output?: string;
  readonly dir?: string;
}

function addExport(history: Command): void {
  const command = history
    .command("export")
    .description("write builds to a bundle for Docker Desktop or docker buildx history import")
    .argument("[ref...]", "the builds (default: the newest)")
    .option("-o, --output <file>", "e.g. build.dockerbuild; - for standard output")
    .option("--dir <dir>", "an OCI layout directory in place of a file")
    .option("--json", "print the result as JSON on standard output");
  addConnectFlags(command).action((refs: readonly string[], flags: ExportFlags) =>
    withInterrupt(async (signal) => {
      const to = exportTarget(flags);
      const written = await withClient(flags, async (client) => {
        const chosen = refs.length > 0 ? refs : [(await findRecord(client, undefined, signal)).ref];
        return client.exportHistory(chosen, { to, signal });
      });
      if (flags.json === true) process.stdout.write(`${JSON.stringify(written)}\n`);
      else {
        const builds = written.refs.length === 1 ? "1 build" : `${written.refs.length} builds`;
        process.stderr.write(`exported ${builds}, ${formatBytes(written.size)} before compression\n`);
      }
    }),
  );
}

function exportTarget({ output, dir, json }: ExportFlags) {
  if ((output === undefined) === (dir === undefined)) {
    throw usage("history export needs one of --output and --dir", "E.g. -o build.dockerbuild.");
  }
  if (dir !== undefined) return { dir };
  if (output !== "-") return { file: output ?? "" };
  if (json === true) throw usage("--output - and --json both want standard output", "Give a file.");
  if (process.stdout.isTTY) throw usage("a bundle is no text for a terminal", "Give a file, or pipe it.");
  return process.stdout;
}

function addEach(
  history: Command,
  name: string,
  description: string,
  act: (client: Client, ref: string, signal: AbortSignal) => Promise<void>,
): void {
  const command = history.command(name).description(description).argument("<ref...>", "the builds");
  addConnectFlags(command).action((refs: readonly string[], flags: ConnectFlags) =>
    withInterrupt((signal) =>
      withClient(flags, async (client) => {
        for (const ref of refs) {
          await act(client, ref, signal);
          process.stdout.write(`${ref}\n`);
        }
      }),
    ),
  );
}

function withClient<T>(flags: ConnectFlags, use: (client: Client) => Promise<T>): Promise<T> {
  return withEngine(flags, async (engine) => use(await engine.client()));
}

async function findRecord(
  client: Client,
  ref: string | undefined,
  signal: AbortSignal,
): Promise<HistoryRecord> {
  const [record] = await client.history({ ...(ref === undefined ? { limit: 1 } : { ref }), signal });
  if (record !== undefined) return record;
  const which = ref === undefined ? "the daemon remembers no build" : `the daemon knows no build ${ref}`;
  throw new KilnError("ERR_KILN_BUILD_NOT_FOUND", which, { hint: "kiln history ls lists what it knows." });
}

/** All attestations, or those of the record alone where the daemon no longer has the image's manifests. */
async function attestationsOf(
  client: Client,
  record: HistoryRecord,
  signal: AbortSignal,
): Promise<readonly HistoryAttestation[]> {
  try {
    return await client.historyAttestations(record.ref, { signal });
  } catch (error) {
    if (!(error instanceof KilnError) || error.code !== "ERR_KILN_BLOB_NOT_FOUND") throw error;
    process.stderr.write(`kiln: ${error.message}: attestations of the image are left out\n`);
    return record.attestations;
  }
}

async function writeBlob(
  client: Client,
  from: {
    readonly record: HistoryRecord;
    readonly attestations: readonly HistoryAttestation[];
    readonly digest: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { record, attestations, digest, signal } = from;
  const { logs, trace, externalError, results } = record;
  const named = [
    logs,
    trace,
    externalError,
    ...results.map(({ blob }) => blob),
    ...attestations.map(({ blob }) => blob),
  ];
  const blob = named.find((one) => one?.digest === digest);
  if (blob === undefined) {
    throw usage(
      `--blob ${digest}: the build ${record.ref} names no such blob`,
      "kiln history inspect lists them.",
    );
  }
  await pipeline(client.readHistoryBlob(blob, { signal }), process.stdout, { end: false });
}

function stdoutView(json: boolean): ProgressView {
  const target = {
    write: (text: string) => {
      process.stdout.write(text);
    },
    columns: process.stdout.columns ?? 100,
    rows: process.stdout.rows ?? 40,
    now: () => Date.now(),
  };
  return json ? jsonView(target) : plainView(target);
}

function stillRuns(ref: string): KilnError {
  return new KilnError("ERR_KILN_BUILD_RUNNING", `the build ${ref} still runs`, {
    hint: `Add --follow, or: kiln attach ${ref}`,
  });
}

function usage(problem: string, hint: string): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", problem, { hint });
}
