import { KilnError } from "../../errors.js";
import type { AppliedStep } from "../define-step.js";

/** A stage of a Dockerfile that is complete. */
interface Stage {
  /** `undefined` = the last one. */
  readonly name: string | undefined;
  /** What follows `FROM`. */
  readonly from: string;
  readonly lines: readonly string[];
}

/** A line of a stage under way, and those before it: chains are long. */
export interface Line {
  readonly before: Line | undefined;
  readonly text: string;
}

/** A stage under way. */
export interface OpenStage {
  readonly from: string;
  readonly lines: Line | undefined;
}

/** What a Dockerfile is put together from. */
export class Stages {
  readonly #done: Stage[] = [];
  /** The frontend that a Dockerfile in the chain asks for. */
  syntax: string | undefined;
  readonly #globalArgs = new Map<string, string>();
  readonly #names = new Set<string>();
  readonly #byContent = new Map<string, string>();
  /** Arguments for `docker build`, told at the top. */
  readonly #flags = new Set<string>();
  readonly #secrets = new Map<string, unknown>();

  /** A name for a stage that no other has. */
  newName(kind: string): string {
    for (let number = 1; ; number += 1) {
      const name = `${kind}-${number}`;
      if (!this.#names.has(name)) return this.take(name);
    }
  }

  /** Whether a stage has this name. */
  has(name: string): boolean {
    return this.#names.has(name.toLowerCase());
  }

  /** Keeps a name. */
  take(name: string): string {
    this.#names.add(name.toLowerCase());
    return name;
  }

  /** Adds a stage; gives its name. */
  add(name: string, stage: OpenStage): string {
    this.#done.push({ name, from: stage.from, lines: linesOf(stage.lines) });
    return name;
  }

  /** A stage of these lines on nothing, once for all that want the same. */
  shared(kind: string, lines: readonly string[]): string {
    const key = lines.join("\n");
    const known = this.#byContent.get(key);
    if (known !== undefined) return known;
    const name = this.newName(kind);
    this.#done.push({ name, from: "scratch", lines });
    this.#byContent.set(key, name);
    return name;
  }

  /** Adds an `ARG` before the first stage. */
  addGlobalArg(name: string, text: string, step: AppliedStep): void {
    const known = this.#globalArgs.get(name);
    if (known !== undefined && known !== text) {
      throw new KilnError(
        "ERR_KILN_UNSUPPORTED",
        `${step.title}: two Dockerfiles of the chain have a global ARG ${name}, which one Dockerfile cannot`,
        {
          hint: "Rename one of them, or build the image of one and start from that.",
          location: step.location,
        },
      );
    }
    this.#globalArgs.set(name, text);
  }

  /** Notes an argument that `docker build` needs. */
  addFlag(flag: string): void {
    this.#flags.add(flag);
  }

  /** The id for a secret by the name of its variable: another secret of that name gets another id. */
  secretId(name: string, origin: unknown): string {
    for (let number = 1; ; number += 1) {
      const id = number === 1 ? name : `${name}-${number}`;
      if (this.#secrets.has(id) && this.#secrets.get(id) !== origin) continue;
      this.#secrets.set(id, origin);
      return id;
    }
  }

  /** The whole Dockerfile, with `last` as the stage that is built. */
  text(last: OpenStage): string {
    const isDone = last.lines === undefined && this.#done.at(-1)?.name === last.from;
    const parts = this.#done.map(stageText);
    if (!isDone) parts.push(stageText({ name: undefined, from: last.from, lines: linesOf(last.lines) }));
    const args = [...this.#globalArgs.values()];
    const head = [
      ...(this.syntax === undefined ? [] : [`# syntax=${this.syntax}`]),
      ...(this.#flags.size === 0 ? [] : [`# Build it with: docker build ${[...this.#flags].join(" ")} .`]),
    ];
    const blocks = [head.join("\n"), args.join("\n"), ...parts].filter((block) => block !== "");
    return `${blocks.join("\n\n")}\n`;
  }
}

function stageText({ name, from, lines }: Stage): string {
  return [`FROM ${from}${name === undefined ? "" : ` AS ${name}`}`, ...lines].join("\n");
}

function linesOf(last: Line | undefined): readonly string[] {
  const lines: string[] = [];
  for (let line = last; line !== undefined; line = line.before) lines.push(line.text);
  return lines.reverse();
}
