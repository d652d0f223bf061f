import type { KilnError } from "../../errors.js";
import { literalWord } from "./quote-words.js";
import { heredocsOf, type Instruction, wordsOf } from "./split-instructions.js";

/** What an instruction is adapted by. */
export interface Adaption {
  readonly stageNamed: (name: string) => string;
  readonly contextStage: string | undefined;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly refuse: (why: string, hint: string) => KilnError;
}

/** An instruction with the names, values and sources that it has in the chain's Dockerfile. */
export function adapted(instruction: Instruction, use: Adaption): string {
  const { name, head, heredocs } = instruction;
  const lines = (first: string): string => [first, ...heredocs].join("\n");
  switch (name) {
    case "ARG": {
      const words = argWords(instruction, use.buildArgs);
      const isSame = words.every((word, index) => word === wordsOf(instruction.args)[index]);
      return isSame ? head : `ARG ${words.join(" ")}`;
    }
    case "COPY":
      return lines(withFlags(head, (flags) => copyFlags(flags, instruction, use)));
    case "RUN":
      return lines(
        withFlags(head, (flags) => flags.replaceAll(/--mount=\S+/g, (flag) => mountFlag(flag, use))),
      );
    case "ADD":
      if (use.contextStage !== undefined && readsLocal(instruction)) {
        throw use.refuse(
          "ADD of local files in another directory has no form in one Dockerfile",
          "Use COPY, or let contextDir be the directory that docker build is given.",
        );
      }
      return lines(head);
    default:
      return lines(head);
  }
}

/** An instruction with other flags, which come before all else. */
function withFlags(head: string, change: (flags: string) => string): string {
  const match = /^(\s*[A-Za-z]+(?:[ \t]|\\[ \t]*\n)+)((?:--\S+(?:[ \t]|\\[ \t]*\n)+)*)/.exec(head);
  if (match === null) return head;
  const [whole, begin = "", flags = ""] = match;
  return `${begin}${change(flags)}${head.slice(whole.length)}`;
}

function copyFlags(flags: string, instruction: Instruction, { stageNamed, contextStage }: Adaption): string {
  if (/--from=/.test(flags)) {
    return flags.replace(/--from=(\S+)/, (_flag, name: string) => `--from=${stageNamed(name)}`);
  }
  return contextStage !== undefined && readsLocal(instruction) ? `--from=${contextStage} ${flags}` : flags;
}

function mountFlag(flag: string, { stageNamed, contextStage }: Adaption): string {
  if (/[=,]from=/.test(flag)) {
    return flag.replace(
      /([=,]from=)([^,\s]+)/,
      (_all, key: string, name: string) => `${key}${stageNamed(name)}`,
    );
  }
  return contextStage !== undefined && isBind(flag) ? `${flag},from=${contextStage}` : flag;
}

function isBind(flag: string): boolean {
  return !/[=,]type=/.test(flag) || /[=,]type=bind(?:,|$)/.test(flag);
}

/** Whether a COPY, ADD or RUN reads the context. */
export function readsLocal({ name, args, head }: Instruction): boolean {
  if (name === "RUN") {
    const flags = head.match(/--mount=\S+/g) ?? [];
    return flags.some((flag) => isBind(flag) && !/[=,]from=/.test(flag));
  }
  if (name !== "COPY" && name !== "ADD") return false;
  const words = wordsOf(args);
  if (words.some((word) => word.startsWith("--from="))) return false;
  const json = jsonWords(args.replace(/^(?:--\S+\s+)*/, ""));
  const sources = (json ?? words.filter((word) => !word.startsWith("--"))).slice(0, -1);
  const isRemote = (word: string): boolean =>
    name === "ADD" && /^["']?(?:https?:\/\/|git@|git:\/\/|ssh:\/\/)/.test(word);
  return sources.some((word) => heredocsOf(word).length === 0 && !isRemote(word));
}

/** The words of an instruction's exec form; `undefined` where it is none. */
export function jsonWords(text: string): readonly string[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The names of an ARG with their values, those that the step sets in place of the Dockerfile's own. */
export function argWords(
  { args }: Instruction,
  buildArgs: Readonly<Record<string, string>>,
): readonly string[] {
  return wordsOf(args).map((word) => {
    const name = word.split("=", 1)[0] ?? "";
    const value = Object.hasOwn(buildArgs, name) ? buildArgs[name] : undefined;
    return value === undefined ? word : `${name}=${literalWord(value)}`;
  });
}
