import { KilnError } from "../errors.js";
import type { Needs } from "../model/needs.js";
import type { Plan } from "../model/plan.js";
import { parseReference } from "../oci/reference.js";
import { SolveError } from "../solver/solve-error.js";

/** Adds what the plan knows of the failed op: the chain step, its command, and the user's call. */
export function withStep(error: unknown, plan: Pick<Plan, "steps" | "commands">): unknown {
  if (!(error instanceof SolveError) || error.vertex === undefined) return error;
  const { vertex } = error;
  const step = plan.steps.find(({ vertices }) => vertices.includes(vertex));
  if (step === undefined) return error;
  const command = plan.commands.get(vertex)?.command;
  const what = command === undefined ? step.title : `${step.id}: ${placeOf(error)}${firstLine(command)}`;
  const why = error.exitCode === undefined ? error.message : `exit code ${error.exitCode}`;
  return new SolveError(error.code, `step ${step.index + 1} failed: ${what}: ${why}`, {
    cause: error,
    hint: error.hint ?? stepHint(error),
    location: step.location,
    vertex,
    vertexName: error.vertexName,
    exitCode: error.exitCode,
    logTail: error.logTail,
    logClips: error.logClips,
    sources: error.sources,
    command,
    step: { index: step.index, id: step.id, title: step.title },
  });
}

/** Where a Dockerfile has the command; other texts have told it in the message. */
function placeOf({ exitCode, sources: [source] }: SolveError): string {
  const line = source?.ranges[0]?.startLine ?? 0;
  return exitCode === undefined || source === undefined || line < 1 ? "" : `${source.filename}:${line}: `;
}

function stepHint(error: SolveError): string | undefined {
  if (error.exitCode === 127) return "A program was not found in the image: install it in an earlier step.";
  if (error.exitCode === 126) return "A file could not be executed: check its mode and its platform.";
  if (error.exitCode === 137) return "The command was killed, most often for want of memory.";
  return error.exitCode === undefined
    ? undefined
    : error.sources.length > 0
      ? "Its last output is above."
      : "Its last output is above; the command runs as root in the image's working directory.";
}

function firstLine(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}

/** Adds the call that named a base to an error about the credentials for its registry, which knows but the host. */
export function withBase(error: unknown, { bases }: Needs): unknown {
  const isOurs = error instanceof KilnError && !(error instanceof SolveError);
  if (!isOurs || error.code !== "ERR_KILN_UNAUTHORIZED" || error.location !== undefined) return error;
  const base = bases.find(
    (need) => need.kind === "registry" && error.message.includes(parseReference(need.ref).domain),
  );
  if (base?.location === undefined) return error;
  const { code, message, hint, cause } = error;
  return new KilnError(code, message, { hint, cause, location: base.location });
}
