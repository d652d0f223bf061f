import { resolve } from "node:path";
import type { Command } from "commander";
import { KilnError } from "../../errors.js";
import {
  defaultPrefix,
  type EngineKind,
  engineDown,
  engineKinds,
  engineStatus,
  engineUp,
} from "../../provision/index.js";
import { withInterrupt } from "../interrupt.js";
import { provisionProgress } from "../provision-progress.js";

interface EngineFlags {
  readonly prefix: string;
  readonly kind: string;
  readonly json?: boolean;
  readonly purge?: boolean;
}

/** Adds `kiln engine up|down|status`. */
export function addEngineCommand(program: Command): void {
  const engine = program
    .command("engine")
    .description("a private BuildKit from Debian's packages, nothing installed");
  const withFlags = (command: Command): Command =>
    command
      .option("--prefix <dir>", "folder that everything is kept in", defaultPrefix())
      .option("--kind <kind>", `${engineKinds.join(", ")}`, "modern")
      .option("--json", "as JSON");
  withFlags(engine.command("up").description("set it up if need be, and start it (as root)")).action(
    (flags: EngineFlags) =>
      withInterrupt(async (signal) => {
        const progress = provisionProgress();
        const running = await engineUp({
          prefix: resolve(flags.prefix),
          kind: checkKind(flags.kind),
          onProgress: progress.show,
          signal,
        }).finally(progress.close);
        if (flags.json === true) process.stdout.write(`${JSON.stringify(running)}\n`);
        else {
          process.stdout.write(
            `${running.reused ? "already up" : "up"}: ${running.address} (Docker ${running.dockerVersion})\n`,
          );
        }
      }),
  );
  withFlags(engine.command("down").description("stop it; its cache stays on disk"))
    .option("--purge", "delete its images and cache too")
    .action(async (flags: EngineFlags) => {
      const kind = checkKind(flags.kind);
      const stopped = await engineDown({ prefix: resolve(flags.prefix), kind, purge: flags.purge });
      if (flags.json === true) process.stdout.write(`${JSON.stringify({ stopped })}\n`);
      else process.stdout.write(stopped ? "stopped\n" : "none was running\n");
    });
  withFlags(engine.command("status").description("show what runs")).action(async (flags: EngineFlags) => {
    const running = await engineStatus({ prefix: resolve(flags.prefix) });
    if (flags.json === true) process.stdout.write(`${JSON.stringify(running)}\n`);
    else if (running.length === 0) process.stdout.write("none is running; start one with: kiln engine up\n");
    for (const { kind, address, dockerVersion } of flags.json === true ? [] : running) {
      process.stdout.write(`${kind}  ${address}  Docker ${dockerVersion}\n`);
    }
  });
}

function checkKind(kind: string): EngineKind {
  const found = engineKinds.find((one) => one === kind);
  if (found !== undefined) return found;
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `--kind ${kind}: there is no such engine`, {
    hint: `Use one of: ${engineKinds.join(", ")}.`,
  });
}
