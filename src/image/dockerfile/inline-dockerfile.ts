import { KilnError } from "../../errors.js";
import type { AppliedStep, StepNeeds, StepTree } from "../define-step.js";
import type { DockerfileRequest } from "../lower-context.js";
import { adapted, argWords, jsonWords, readsLocal } from "./adapt-instruction.js";
import { copyInstruction, localTree } from "./copy-instruction.js";
import { nameStage, type Recorded, type Rendering, withUser } from "./recorded.js";
import { directivesOf, type Instruction, splitInstructions, wordsOf } from "./split-instructions.js";
import type { Line } from "./stages.js";

/** What a Dockerfile is inlined with. */
export interface InlineUse {
  readonly step: AppliedStep;
  readonly needs: StepNeeds;
  readonly rendering: Rendering;
  /** What its COPY and ADD read. */
  readonly context: StepTree | undefined;
}

/** A stage of a Dockerfile that is inlined. */
interface InlinedStage {
  /** In the Dockerfile. */
  readonly ownName: string | undefined;
  /** Where it stands; `undefined` = it is the last one, which the chain goes on with. */
  readonly name: string | undefined;
  readonly from: string;
  readonly user: string | undefined;
  readonly shell: readonly string[] | undefined;
  readonly cmd: Recorded["cmd"];
  readonly lines: readonly string[];
}

/**
 * The stages of a step's Dockerfile put into the one of the chain: its lines as they are, but for names of stages, for
 * arguments that the step sets, and for sources in another context directory than `docker build` has.
 */
export function inlineDockerfile(recorded: Recorded, request: DockerfileRequest, use: InlineUse): Recorded {
  const { step, rendering } = use;
  const { stages } = rendering;
  const refuse = (why: string, hint: string): KilnError =>
    new KilnError("ERR_KILN_UNSUPPORTED", `${step.title}: ${why}`, { hint, location: step.location });
  const text = typeof request.text === "string" ? request.text : new TextDecoder().decode(request.text);
  const instructions = splitInstructions(text);
  const directives = directivesOf(text);
  if ((directives.get("escape") ?? "\\") !== "\\") {
    throw refuse("its Dockerfile has another escape character", "Write it with the backslash.");
  }
  stages.syntax ??= directives.get("syntax");
  if (instructions.some(({ name }) => name === "ONBUILD")) {
    throw refuse(
      "ONBUILD of its Dockerfile would act in the next stage",
      "Leave it out, and set it on the image.",
    );
  }
  const begins = instructions.flatMap(({ name }, index) => (name === "FROM" ? [index] : []));
  if (begins.length === 0) throw refuse("its Dockerfile has no FROM", "Correct the Dockerfile.");
  for (const instruction of instructions.slice(0, begins[0])) {
    if (instruction.name !== "ARG") continue;
    for (const word of argWords(instruction, request.buildArgs ?? {})) {
      stages.addGlobalArg(word.split("=", 1)[0] ?? "", `ARG ${word}`, step);
    }
  }
  const isBase = (name: string): boolean => name.toLowerCase() === request.baseName?.toLowerCase();
  const complete = withUser(recorded);
  let baseStage: string | undefined;
  const baseName = (): string => {
    baseStage ??= nameStage(recorded, stages);
    return baseStage;
  };
  const contextStage = contextOf(instructions, use, refuse);
  const done: InlinedStage[] = [];
  const stageNamed = (name: string): string => {
    const found = done.findLast(({ ownName }) => ownName?.toLowerCase() === name.toLowerCase());
    if (found !== undefined) return found.name ?? name;
    if (isBase(name)) return baseName();
    return (/^\d+$/.test(name) ? done[Number(name)]?.name : undefined) ?? name;
  };
  const target = request.target?.toLowerCase();
  for (const [number, begin] of begins.entries()) {
    const { flags, image, ownName } = fromParts(instructions[begin]?.args ?? "");
    const isLast = number === begins.length - 1;
    // The chain goes on within the last stage, as its own lines would.
    const isOpen =
      isLast && request.baseName !== undefined && (target === undefined || target === ownName?.toLowerCase());
    const parent = done.findLast((stage) => stage.ownName?.toLowerCase() === image.toLowerCase());
    const from = [...flags, stageNamed(image)].join(" ");
    const own = instructions.slice(begin + 1, begins[number + 1]);
    const lines = own.map((instruction) =>
      adapted(instruction, { stageNamed, contextStage, buildArgs: request.buildArgs ?? {}, refuse }),
    );
    const before =
      parent ?? (isBase(image) ? complete : { user: rendering.baseUser, shell: undefined, cmd: undefined });
    const stage: InlinedStage = {
      ownName,
      name: isOpen ? undefined : nameFor(ownName, rendering),
      from,
      user: lastArgs(own, "USER") ?? before.user,
      shell: shellOf(own) ?? before.shell,
      cmd: cmdOf(own, from, before.cmd),
      lines: trimmed(lines),
    };
    done.push(stage);
    if (stage.name !== undefined) stages.add(stage.name, { from, lines: linked(stage.lines) });
  }
  const result =
    target === undefined
      ? done.at(-1)
      : (done.findLast(({ ownName }) => ownName?.toLowerCase() === target) ?? done[Number(target)]);
  if (result === undefined)
    throw refuse(`its Dockerfile has no stage ${request.target}`, "Correct the target.");
  const { name, user, shell, cmd } = result;
  return {
    ...recorded,
    from: name ?? result.from,
    lines: name === undefined ? linked(result.lines) : undefined,
    user,
    configUser: user,
    shell,
    // A chain that starts from a Dockerfile takes its command for a base's.
    cmd: request.baseName === undefined ? undefined : cmd,
  };
}

function nameFor(ownName: string | undefined, { stages }: Rendering): string {
  if (ownName === undefined) return stages.newName("kiln");
  return stages.has(ownName) ? stages.newName(ownName) : stages.take(ownName);
}

function fromParts(args: string): {
  readonly flags: readonly string[];
  readonly image: string;
  readonly ownName: string | undefined;
} {
  const words = wordsOf(args);
  const flags = words.filter((word) => word.startsWith("--"));
  const [image = "", as = "", ownName] = words.filter((word) => !word.startsWith("--"));
  return { flags, image, ownName: as.toUpperCase() === "AS" ? ownName : undefined };
}

/** The stage that holds the context, where it is not what `docker build` is given. */
function contextOf(
  instructions: readonly Instruction[],
  use: InlineUse,
  refuse: (why: string, hint: string) => KilnError,
): string | undefined {
  const { step, needs, rendering, context } = use;
  const reading = instructions.find(readsLocal);
  if (reading === undefined) return undefined;
  if (context === undefined)
    throw refuse("it copies from a context that it does not have", "Correct the step.");
  const tree = localTree(withoutDockersOwn(context, needs, rendering, step), use);
  const files = Object.entries(context.files ?? {});
  if (tree.path === "." && tree.flags.length === 0 && files.length === 0) return undefined;
  return rendering.stages.shared("kiln-context", [
    copyInstruction(tree, { from: "/", to: "/", contents: true }),
    ...files.map(([at, path]) =>
      copyInstruction(
        localTree({ ...{ kind: "file", path, mode: "own" }, ...{ ignore: [], ignoreFiles: [] } }, use),
        { from: "/file", to: `/${at}`, contents: false },
      ),
    ),
  ]);
}

/** The tree without the ignore file that Docker reads by itself. */
function withoutDockersOwn(
  tree: StepTree,
  needs: StepNeeds,
  rendering: Rendering,
  step: AppliedStep,
): StepTree {
  const own = new Set([".dockerignore"]);
  const optional = tree.ignoreFiles.filter((key) => needs.files?.[key]?.optional === true);
  if (optional.length === 0) return tree;
  const pathOf = (key: string): string => needs.files?.[key]?.path ?? "";
  // Where nobody reads files, Docker's own is taken for the one that counts, if there may be no other.
  if (optional.every((key) => own.has(pathOf(key)))) return { ...tree, ignoreFiles: [] };
  const first = optional.find((key) => rendering.file(pathOf(key), step) !== undefined);
  return { ...tree, ignoreFiles: first === undefined || own.has(pathOf(first)) ? [] : [first] };
}

function lastArgs(instructions: readonly Instruction[], name: string): string | undefined {
  return instructions.findLast((instruction) => instruction.name === name)?.args;
}

function shellOf(instructions: readonly Instruction[]): readonly string[] | undefined {
  const args = lastArgs(instructions, "SHELL");
  return args === undefined ? undefined : jsonWords(args);
}

function cmdOf(instructions: readonly Instruction[], from: string, before: Recorded["cmd"]): Recorded["cmd"] {
  const args = lastArgs(instructions, "CMD");
  if (args !== undefined) return { text: `CMD ${args}`, from };
  return instructions.some(({ name }) => name === "ENTRYPOINT") ? undefined : before;
}

function trimmed(lines: readonly string[]): readonly string[] {
  const end = lines.findLastIndex((line) => line.trim() !== "");
  return lines.slice(0, end + 1);
}

function linked(lines: readonly string[]): Line | undefined {
  let last: Line | undefined;
  for (const text of lines) last = { before: last, text };
  return last;
}
