type GlobPart =
  | { readonly kind: "star" }
  | { readonly kind: "any" }
  | { readonly kind: "rune"; readonly rune: string }
  | {
      readonly kind: "class";
      readonly negated: boolean;
      readonly ranges: readonly (readonly [string, string])[];
    };

/**
 * Whether a pattern is well-formed for Go's `filepath.Match`: every bracket closed and not empty, no `-` or
 * `]` bare where a character must stand, no backslash at the end.
 */
export function isValidGlob(pattern: string): boolean {
  return parseGlob(pattern) !== undefined;
}

/** Whether a name has an unescaped `*`, `?` or `[`. */
export function hasWildcard(name: string): boolean {
  return /(?:^|[^\\])(?:\\\\)*[*?[]/.test(name);
}

/**
 * Go's `filepath.Match` on Unix: `*` and `?` stop at separators, `[…]` is a class with `^` for its opposite,
 * a backslash takes the next character literally; the whole name must match. An ill-formed pattern matches
 * nothing. Takes time proportional to the product of both lengths at most.
 */
export function matchGlob(pattern: string, name: string): boolean {
  const parts = parseGlob(pattern);
  if (parts === undefined) return false;
  const runes = [...name];
  let part = 0;
  let rune = 0;
  let starPart = -1;
  let starRune = 0;
  while (rune < runes.length || part < parts.length) {
    const current = parts[part];
    if (current?.kind === "star") {
      starPart = part;
      starRune = rune;
      part += 1;
    } else if (current !== undefined && rune < runes.length && matchesPart(current, runes[rune] ?? "")) {
      part += 1;
      rune += 1;
    } else if (starPart >= 0 && starRune < runes.length && runes[starRune] !== "/") {
      starRune += 1;
      rune = starRune;
      part = starPart + 1;
    } else {
      return false;
    }
  }
  return true;
}

function matchesPart(part: GlobPart, rune: string): boolean {
  if (part.kind === "rune") return part.rune === rune;
  if (part.kind !== "class") return rune !== "/";
  const code = rune.codePointAt(0) ?? 0;
  const inside = part.ranges.some(
    ([low, high]) => (low.codePointAt(0) ?? 0) <= code && code <= (high.codePointAt(0) ?? 0),
  );
  return inside !== part.negated;
}

function parseGlob(pattern: string): readonly GlobPart[] | undefined {
  const runes = [...pattern];
  const parts: GlobPart[] = [];
  let at = 0;
  /** One character of a class; `undefined` where none may stand. */
  const takeRune = (): string | undefined => {
    if (runes[at] === "-" || runes[at] === "]") return undefined;
    if (runes[at] === "\\") at += 1;
    const rune = runes[at];
    at += 1;
    // A class needs its closing bracket after this.
    return at < runes.length ? rune : undefined;
  };
  while (at < runes.length) {
    const rune = runes[at] ?? "";
    at += 1;
    if (rune === "*") parts.push({ kind: "star" });
    else if (rune === "?") parts.push({ kind: "any" });
    else if (rune === "\\") {
      const escaped = runes[at];
      at += 1;
      if (escaped === undefined) return undefined;
      parts.push({ kind: "rune", rune: escaped });
    } else if (rune === "[") {
      const negated = runes[at] === "^";
      if (negated) at += 1;
      const ranges: [string, string][] = [];
      while (runes[at] !== "]" || ranges.length === 0) {
        const low = takeRune();
        if (low === undefined) return undefined;
        let high: string | undefined = low;
        if (runes[at] === "-") {
          at += 1;
          high = takeRune();
        }
        if (high === undefined) return undefined;
        ranges.push([low, high]);
      }
      at += 1;
      parts.push({ kind: "class", negated, ranges });
    } else parts.push({ kind: "rune", rune });
  }
  return parts;
}
