/**
 * Expands `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` in a value.
 *
 * As in a Dockerfile's ENV: an unset variable is empty, `\$` is a plain dollar sign, and a `$` that begins
 * none of these forms stays. Defaults are expanded in turn.
 */
export function expandEnv(value: string, env: ReadonlyMap<string, string>): string {
  let result = "";
  for (let index = 0; index < value.length; ) {
    const char = value[index];
    if (char === "\\" && value[index + 1] === "$") {
      result += "$";
      index += 2;
      continue;
    }
    if (char !== "$") {
      result += char;
      index += 1;
      continue;
    }
    const found = value[index + 1] === "{" ? braced(value, index, env) : plain(value, index, env);
    result += found?.text ?? "$";
    index = found?.next ?? index + 1;
  }
  return result;
}

interface Expansion {
  readonly text: string;
  readonly next: number;
}

function plain(value: string, start: number, env: ReadonlyMap<string, string>): Expansion | undefined {
  const name = /^[A-Za-z_][A-Za-z0-9_]*/.exec(value.slice(start + 1))?.[0];
  return name === undefined ? undefined : { text: env.get(name) ?? "", next: start + 1 + name.length };
}

function braced(value: string, start: number, env: ReadonlyMap<string, string>): Expansion | undefined {
  const end = closingBrace(value, start + 2);
  if (end === undefined) return undefined;
  const match = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:[-+])([\s\S]*))?$/.exec(value.slice(start + 2, end));
  if (match === null) return undefined;
  const [, name = "", operator, word = ""] = match;
  const current = env.get(name) ?? "";
  const next = end + 1;
  if (operator === ":-") return { text: current === "" ? expandEnv(word, env) : current, next };
  if (operator === ":+") return { text: current === "" ? "" : expandEnv(word, env), next };
  return { text: current, next };
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
