import {
  complementRunes,
  normalizeRunes,
  PERL_CLASSES,
  POSIX_CLASSES,
  type RuneRange,
  type RuneSet,
} from "./rune-set.js";

/** A parsed regular expression. */
export type RegexpNode =
  | { readonly kind: "rune"; readonly set: RuneSet }
  | { readonly kind: "begin" }
  | { readonly kind: "end" }
  | { readonly kind: "sequence"; readonly items: readonly RegexpNode[] }
  | { readonly kind: "choice"; readonly items: readonly RegexpNode[] }
  | { readonly kind: "repeat"; readonly item: RegexpNode; readonly min: number; readonly max: number };

const MAX_REPEAT = 1000;
const NOT_NEWLINE: RuneSet = complementRunes([[0x0a, 0x0a]]);
const CONTROL_ESCAPES: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };

/**
 * Parses the part of Go's regular-expression syntax that ignore patterns can be turned into: literals,
 * escapes, classes, groups, `|`, `.`, `^`, `$`, `*`, `?` and counted repetition. `\b`, `\p…`, `\Q`, `\x`,
 * octal escapes, flags and lazy quantifiers are refused, as no sensible file pattern contains them.
 *
 * Throws a plain `Error` that says what is wrong.
 */
export function parseGoRegexp(source: string): RegexpNode {
  const reader = new Reader([...source]);
  const node = parseChoice(reader);
  if (!reader.done) throw new Error("unexpected )");
  return node;
}

class Reader {
  readonly #runes: readonly string[];
  position = 0;

  constructor(runes: readonly string[]) {
    this.#runes = runes;
  }

  get done(): boolean {
    return this.position >= this.#runes.length;
  }

  peek(ahead = 0): string {
    return this.#runes[this.position + ahead] ?? "";
  }

  next(): string {
    const rune = this.peek();
    this.position += 1;
    return rune;
  }

  take(rune: string): boolean {
    if (this.peek() !== rune) return false;
    this.position += 1;
    return true;
  }

  /** Takes text up to `end` when it fits `shape`, together with `end`. */
  takeUntil(end: string, shape: RegExp): string | undefined {
    const stop = this.#runes.indexOf(end, this.position);
    if (stop < 0) return undefined;
    const text = this.#runes.slice(this.position, stop).join("");
    if (!shape.test(text)) return undefined;
    this.position = stop + 1;
    return text;
  }
}

function parseChoice(reader: Reader): RegexpNode {
  const branches: RegexpNode[] = [parseSequence(reader)];
  while (reader.take("|")) branches.push(parseSequence(reader));
  return branches.length === 1 ? (branches[0] as RegexpNode) : { kind: "choice", items: branches };
}

function parseSequence(reader: Reader): RegexpNode {
  const items: RegexpNode[] = [];
  while (!reader.done && reader.peek() !== "|" && reader.peek() !== ")") {
    items.push(parseRepeat(reader, parseAtom(reader)));
  }
  return { kind: "sequence", items };
}

function parseRepeat(reader: Reader, item: RegexpNode): RegexpNode {
  const range = takeQuantifier(reader);
  if (range === undefined) return item;
  if (reader.peek() === "?") throw new Error("lazy quantifiers are not supported");
  if (takeQuantifier(reader) !== undefined) throw new Error("invalid nested repetition operator");
  return { kind: "repeat", item, min: range[0], max: range[1] };
}

function takeQuantifier(reader: Reader): readonly [min: number, max: number] | undefined {
  if (reader.take("*")) return [0, Number.POSITIVE_INFINITY];
  if (reader.take("?")) return [0, 1];
  if (reader.peek() !== "{") return undefined;
  const start = reader.position;
  reader.next();
  const text = reader.takeUntil("}", /^(?:0|[1-9][0-9]*)(?:,(?:0|[1-9][0-9]*)?)?$/);
  if (text === undefined) {
    // A brace that opens no count is a literal.
    reader.position = start;
    return undefined;
  }
  const [low = "", high] = text.split(",");
  const min = Number(low);
  const max = high === undefined ? min : high === "" ? Number.POSITIVE_INFINITY : Number(high);
  if (min > MAX_REPEAT || (Number.isFinite(max) && max > MAX_REPEAT) || min > max) {
    throw new Error(`invalid repeat count {${text}}`);
  }
  return [min, max];
}

function parseAtom(reader: Reader): RegexpNode {
  const start = reader.position;
  if (takeQuantifier(reader) !== undefined) throw new Error("missing argument to repetition operator");
  reader.position = start;
  const rune = reader.next();
  if (rune === "^") return { kind: "begin" };
  if (rune === "$") return { kind: "end" };
  if (rune === ".") return { kind: "rune", set: NOT_NEWLINE };
  if (rune === "[") return { kind: "rune", set: parseClass(reader) };
  if (rune === "(") {
    const inner = parseChoice(reader);
    if (!reader.take(")")) throw new Error("missing )");
    return inner;
  }
  if (rune !== "\\") return { kind: "rune", set: [single(rune)] };
  if (reader.take("A")) return { kind: "begin" };
  if (reader.take("z")) return { kind: "end" };
  return { kind: "rune", set: takePerlClass(reader) ?? [single(takeEscaped(reader))] };
}

function parseClass(reader: Reader): RuneSet {
  const negated = reader.take("^");
  const found: RuneRange[] = [];
  for (let first = true; first || reader.peek() !== "]"; first = false) {
    if (reader.done) throw new Error("missing ]");
    found.push(...(takePosixClass(reader) ?? takeClassItem(reader)));
  }
  reader.next();
  return negated ? complementRunes(found) : normalizeRunes(found);
}

function takePosixClass(reader: Reader): RuneSet | undefined {
  if (reader.peek() !== "[" || reader.peek(1) !== ":") return undefined;
  const start = reader.position;
  reader.position += 2;
  const name = reader.takeUntil(":", /^\^?[a-z]+$/);
  if (name === undefined || !reader.take("]")) {
    reader.position = start;
    return undefined;
  }
  const set = POSIX_CLASSES[name.replace("^", "")];
  if (set === undefined) throw new Error(`unknown class [:${name}:]`);
  return name.startsWith("^") ? complementRunes(set) : set;
}

function takeClassItem(reader: Reader): RuneSet {
  let low: string;
  if (reader.take("\\")) {
    const named = takePerlClass(reader);
    if (named !== undefined) return named;
    low = takeEscaped(reader);
  } else {
    low = reader.next();
  }
  if (reader.peek() !== "-" || reader.peek(1) === "]") return [single(low)];
  reader.next();
  const high = reader.take("\\") ? takeEscaped(reader) : reader.next();
  const [first] = single(low);
  const [last] = single(high);
  if (last < first) throw new Error(`invalid range ${low}-${high} in a character class`);
  return [[first, last]];
}

/** Takes the letter after a backslash when it names a class. */
function takePerlClass(reader: Reader): RuneSet | undefined {
  const letter = reader.peek();
  const set = /^[dswDSW]$/.test(letter) ? PERL_CLASSES[letter.toLowerCase()] : undefined;
  if (set === undefined) return undefined;
  reader.next();
  return letter === letter.toLowerCase() ? set : complementRunes(set);
}

/** Takes the character after a backslash that stands for one character. */
function takeEscaped(reader: Reader): string {
  const rune = reader.next();
  const control = CONTROL_ESCAPES[rune];
  if (control !== undefined) return String.fromCharCode(control);
  if (!/^[\0-\x7f]$/.test(rune) || /^[A-Za-z0-9]$/.test(rune)) {
    throw new Error(`invalid or unsupported escape \\${rune}`);
  }
  return rune;
}

function single(rune: string): RuneRange {
  const code = rune.codePointAt(0);
  if (code === undefined) throw new Error("unexpected end of pattern");
  return [code, code];
}
