/**
 * Expands `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` in a value.
 *
 * As in a Dockerfile's ENV: an unset variable is empty, `\$` is a plain dollar sign, and a `$` that begins
 * none of these forms stays. Defaults are expanded in turn.
 */
export function expandEnv(value: string, env: ReadonlyMap<string, string>): string {
  return expandedParts(value)
    .map((part) => {
      if (typeof part === "string") return part;
      const { name, operator, word } = part;
      const current = env.get(name) ?? "";
      if (operator === ":-") return current === "" ? expandEnv(word, env) : current;
      if (operator === ":+") return current === "" ? "" : expandEnv(word, env);
      return current;
    })
    .join("");
}

/** A variable in a value. */
export interface VariablePart {
  readonly name: string;
  readonly operator: ":-" | ":+" | undefined;
  /** What follows the operator, not expanded yet. */
  readonly word: string;
}

/** A value's texts, which mean themselves, and the variables between them. */
export function expandedParts(value: string): readonly (string | VariablePart)[] {
  const parts: (string | VariablePart)[] = [];
  let text = "";
  for (let index = 0; index < value.length; ) {
    if (value[index] === "\\" && value[index + 1] === "$") {
      text += "$";
      index += 2;
      continue;
    }
    const found = value[index] === "$" ? variableAt(value, index) : undefined;
    if (found === undefined) {
      text += value[index];
      index += 1;
      continue;
    }
    if (text !== "") parts.push(text);
    text = "";
    parts.push(found.variable);
    index = found.next;
  }
  if (text !== "") parts.push(text);
  return parts;
}

interface FoundVariable {
  readonly variable: VariablePart;
  readonly next: number;
}

function variableAt(value: string, start: number): FoundVariable | undefined {
  if (value[start + 1] === "{") return braced(value, start);
  const name = /^[A-Za-z_][A-Za-z0-9_]*/.exec(value.slice(start + 1))?.[0];
  if (name === undefined) return undefined;
  return { variable: { name, operator: undefined, word: "" }, next: start + 1 + name.length };
}

function braced(value: string, start: number): FoundVariable | undefined {
  const end = closingBrace(value, start + 2);
  if (end === undefined) return undefined;
  const match = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:[-+])([\s\S]*))?$/.exec(value.slice(start + 2, end));
  if (match === null) return undefined;
  const [, name = "", operator, word = ""] = match;
  return {
    variable: { name, operator: operator === ":-" || operator === ":+" ? operator : undefined, word },
    next: end + 1,
  };
}

function closingBrace(value: string, start: number): number | undefined {
  let depth = 1;
  for (let index = start; index < value.length; index += 1) {
    if (value[index] === "\\") index += 1;
    else if (value[index] === "{") depth += 1;
    else if (value[index] === "}") {
      depth -= 1;
      if (depth === 0) return index;
    }
  }
  return undefined;
}
