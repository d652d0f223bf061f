import { PatternAutomaton } from "./pattern-automaton.js";

/** Shorter values and lines are too common to be told from other text. */
const shortestMasked = 4;

/** Of a longer value, characters beyond these are not looked for: it is a file, not a password. */
const longestMasked = 64 * 1024;

const mask = "***";

/** What may be anybody's word: switches, and the lines around keys and certificates. */
const harmless = /^(?:true|false|null|none|-----(?:BEGIN|END) [A-Z0-9 ]+-----)$/i;

/**
 * Secret values that must not be shown: what is shown has `***` in their place.
 *
 * A value of several lines is looked for line by line, without the blanks around them, and each as it is and as URLs
 * have it (`encodeURIComponent`, stricter, with plus signs for blanks, with slashes as they are). Not looked for are lines
 * of fewer than 4 characters, `true`, `false`, `null`, `none`, the lines around PEM, what comes after the first 64 Ki
 * characters of a value, parts of one, and other forms: base64, hex, quoted for JSON or a shell. Values that overlap or follow one
 * another become one `***`.
 */
export class SecretMasks {
  readonly #patterns = new Set<string>();
  #automaton: PatternAutomaton | undefined;

  /** Whether nothing is masked yet. */
  get empty(): boolean {
    return this.#patterns.size === 0;
  }

  /** Adds a value. What was shown before stays as it is. */
  add(value: string | Uint8Array): void {
    const whole = typeof value === "string" ? value : new TextDecoder().decode(value);
    const known = this.#patterns.size;
    for (const line of whole.slice(0, longestMasked).split(/[\r\n]+/)) {
      const text = line.trim();
      if (text.length < shortestMasked || harmless.test(text) || /^\uFFFD*$/.test(text)) continue;
      for (const form of formsOf(text)) this.#patterns.add(form);
    }
    if (this.#patterns.size > known) this.#automaton = undefined;
  }

  /** A whole text with the values masked. */
  mask(text: string): string {
    if (this.empty) return text;
    const stream = new MaskedStream(this);
    return stream.push(text) + stream.end();
  }

  /** A text that comes in pieces, masked as it comes. Knows values that are added later as well. */
  stream(): MaskedStream {
    return new MaskedStream(this);
  }

  /** What finds the values; another one after a value was added. `undefined` while there is none. */
  get automaton(): PatternAutomaton | undefined {
    if (this.empty) return undefined;
    this.#automaton ??= new PatternAutomaton(this.#patterns);
    return this.#automaton;
  }
}

/**
 * One text that comes in pieces, with secret values masked wherever the pieces are cut.
 *
 * Holds back no more than the beginning of a value that the next piece may complete. Takes time in proportion to the text.
 */
export class MaskedStream {
  readonly #masks: SecretMasks;
  #automaton: PatternAutomaton | undefined;
  #node = 0;
  /** What was not given out yet: a beginning of a value. */
  #held = "";
  /** How much of the beginning of `held` a mask that was given out stands for; `undefined` if none came last. */
  #covered: number | undefined;
  /** Values found in `held`, in order: `[from, to)`. */
  #found: [from: number, to: number][] = [];

  /** For {@link SecretMasks.stream}. */
  constructor(masks: SecretMasks) {
    this.#masks = masks;
  }

  /** Text that came and was not given out: it may be the beginning of a value. */
  get held(): string {
    return this.#held;
  }

  /** Takes the next piece, gives what of all pieces is certain now. */
  push(text: string): string {
    const automaton = this.#masks.automaton;
    if (automaton === undefined) return text;
    const all = this.#held + text;
    let from = this.#held.length;
    if (automaton !== this.#automaton) {
      this.#automaton = automaton;
      this.#node = 0;
      this.#found = [];
      from = 0;
    }
    for (let index = from; index < all.length; index += 1) {
      if (this.#node === 0) index = automaton.beginning(all, index);
      if (index === all.length) break;
      this.#node = automaton.next(this.#node, all.charCodeAt(index));
      const length = automaton.matchLength(this.#node);
      if (length > 0) this.#note(index + 1 - length, index + 1);
    }
    return this.#give(all, all.length - automaton.openLength(this.#node));
  }

  /** Gives what is held back: no more comes, or what comes does not belong to it. */
  end(): string {
    this.#node = 0;
    return this.#give(this.#held, this.#held.length);
  }

  #note(start: number, to: number): void {
    let from = start;
    for (let last = this.#found.at(-1); last !== undefined && last[1] >= from; last = this.#found.at(-1)) {
      from = Math.min(from, last[0]);
      this.#found.pop();
    }
    this.#found.push([from, to]);
  }

  /** Gives `all` up to `end` and holds the rest. */
  #give(all: string, end: number): string {
    let out = "";
    let at = 0;
    for (const [from, to] of this.#found) {
      if (from >= end) break;
      // A value that overlaps what the last mask stands for, or follows it, has its mask already.
      if (this.#covered === undefined || from > this.#covered) {
        out += all.slice(Math.max(at, this.#covered ?? 0), from) + mask;
      }
      at = to;
      this.#covered = Math.max(to, this.#covered ?? 0);
    }
    const rest = all.slice(Math.max(at, this.#covered ?? 0), end);
    out += rest;
    const isBehindMask = this.#covered !== undefined && rest === "";
    this.#covered =
      isBehindMask && this.#covered !== undefined ? Math.max(0, this.#covered - end) : undefined;
    this.#held = all.slice(end);
    this.#found = this.#found
      .filter(([, to]) => to > end)
      .map(([from, to]) => [Math.max(0, from - end), to - end]);
    return out;
  }
}

/** A line as it is and as it stands in URLs and forms. */
function formsOf(line: string): readonly string[] {
  let encoded: string;
  try {
    encoded = encodeURIComponent(line);
  } catch {
    // Half a surrogate pair: no URL holds that.
    return [line];
  }
  const strict = encoded.replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return [encoded, strict].flatMap((form) => [
    line,
    form,
    form.replaceAll("%20", "+"),
    form.replaceAll("%2F", "/"),
  ]);
}
