import type { RegexpNode } from "./go-regexp.js";
import { hasRune, type RuneSet } from "./rune-set.js";

const MAX_INSTRUCTIONS = 4096;
const MAX_STATES = 512;
const MAX_WIDE = 1024;
const UNKNOWN = -1;

type Instruction =
  | { readonly kind: "rune"; readonly set: RuneSet; next: number }
  | { readonly kind: "split"; left: number; right: number }
  | { readonly kind: "begin" | "end"; next: number }
  | { readonly kind: "match" };

interface State {
  /** The instructions that can take the next character. */
  readonly threads: readonly number[];
  readonly matched: boolean;
  readonly matchedAtEnd: boolean;
  readonly ascii: Int32Array;
  readonly wide: Map<number, number>;
}

/**
 * Says whether a text contains a match of a regular expression, in time linear in the text whatever the
 * expression is. Patterns may come from a daemon, so a backtracking engine, which some patterns keep busy
 * for hours, is no choice.
 *
 * The expression becomes a non-deterministic automaton; its deterministic states are built when a text first
 * needs them and are forgotten when there are too many. Throws a plain `Error` for an expression that is too
 * large.
 */
export class Automaton {
  readonly #program: Instruction[] = [];
  readonly #start: number;
  #states: State[] = [];
  #byKey = new Map<string, number>();

  constructor(node: RegexpNode) {
    const match = this.#add({ kind: "match" });
    this.#start = this.#compile(node, match);
  }

  /** Whether some part of `text` matches. */
  test(text: string): boolean {
    let index = this.#initial();
    let state = this.#states[index];
    for (let position = 0; position < text.length && state !== undefined; ) {
      if (state.matched) return true;
      const unit = text.charCodeAt(position);
      const rune = unit < 0x80 ? unit : (text.codePointAt(position) ?? unit);
      position += rune > 0xffff ? 2 : 1;
      const known: number = (rune < 0x80 ? state.ascii[rune] : state.wide.get(rune)) ?? UNKNOWN;
      index = known === UNKNOWN ? this.#step(state, rune) : known;
      state = this.#states[index];
      // Nothing that follows can match: not even a match that would begin later.
      if (state !== undefined && isDead(state)) return false;
    }
    return state !== undefined && (state.matched || state.matchedAtEnd);
  }

  #initial(): number {
    if (this.#states.length === 0) this.#intern([this.#start], true);
    return 0;
  }

  #step(from: State, rune: number): number {
    const targets: number[] = [];
    for (const thread of from.threads) {
      const instruction = this.#program[thread];
      if (instruction?.kind === "rune" && hasRune(instruction.set, rune)) targets.push(instruction.next);
    }
    // A match may begin anywhere that the expression itself does not exclude.
    targets.push(this.#start);
    if (this.#states.length >= MAX_STATES) {
      this.#states = [];
      this.#byKey = new Map();
      this.#initial();
      return this.#intern(targets, false);
    }
    const to = this.#intern(targets, false);
    if (rune < 0x80) from.ascii[rune] = to;
    else if (from.wide.size < MAX_WIDE) from.wide.set(rune, to);
    return to;
  }

  #intern(targets: readonly number[], atBegin: boolean): number {
    const here = this.#closure(targets, atBegin, false);
    const atEnd = this.#closure(targets, atBegin, true);
    const key = `${atBegin}:${here.matched}:${atEnd.matched}:${here.threads.join()}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const state: State = {
      threads: here.threads,
      matched: here.matched,
      matchedAtEnd: atEnd.matched,
      ascii: new Int32Array(0x80).fill(UNKNOWN),
      wide: new Map(),
    };
    this.#states.push(state);
    this.#byKey.set(key, this.#states.length - 1);
    return this.#states.length - 1;
  }

  /** Follows everything that takes no character. */
  #closure(
    targets: readonly number[],
    atBegin: boolean,
    atEnd: boolean,
  ): { readonly threads: readonly number[]; readonly matched: boolean } {
    const seen = new Set<number>();
    const stack = [...targets];
    const threads: number[] = [];
    let matched = false;
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      const instruction = this.#program[at];
      if (instruction === undefined) continue;
      if (instruction.kind === "match") matched = true;
      else if (instruction.kind === "rune") threads.push(at);
      else if (instruction.kind === "split") stack.push(instruction.left, instruction.right);
      else if (instruction.kind === "begin" ? atBegin : atEnd) stack.push(instruction.next);
    }
    return { threads: threads.sort((a, b) => a - b), matched };
  }

  #add(instruction: Instruction): number {
    if (this.#program.length >= MAX_INSTRUCTIONS) throw new Error("the pattern is too large");
    this.#program.push(instruction);
    return this.#program.length - 1;
  }

  /** Compiles from the back: every piece knows where to go on. Returns where the piece begins. */
  #compile(node: RegexpNode, next: number): number {
    switch (node.kind) {
      case "rune":
        return this.#add({ kind: "rune", set: node.set, next });
      case "begin":
      case "end":
        return this.#add({ kind: node.kind, next });
      case "sequence":
        return node.items.reduceRight((after, item) => this.#compile(item, after), next);
      case "choice":
        return node.items
          .map((item) => this.#compile(item, next))
          .reduceRight((right, left) => this.#add({ kind: "split", left, right }));
      case "repeat":
        return this.#compileRepeat(node.item, node.min, node.max, next);
    }
  }

  #compileRepeat(item: RegexpNode, min: number, max: number, next: number): number {
    let at = next;
    if (max === Number.POSITIVE_INFINITY) {
      const loop: Instruction = { kind: "split", left: next, right: next };
      at = this.#add(loop);
      loop.left = this.#compile(item, at);
    } else {
      for (let count = min; count < max; count += 1) {
        at = this.#add({ kind: "split", left: this.#compile(item, at), right: next });
      }
    }
    for (let count = 0; count < min; count += 1) at = this.#compile(item, at);
    return at;
  }
}

function isDead(state: State): boolean {
  return state.threads.length === 0 && !state.matched && !state.matchedAtEnd;
}
