import type { ConfigChange } from "../config-change.js";
import { expandingWord, jsonForm, literalWord } from "./quote-words.js";

/** A change that has no form in a Dockerfile. */
export interface Inexpressible {
  readonly why: string;
}

/**
 * The instruction for a change of the config, but for the user, which is set at the end. `why` says what a Dockerfile
 * cannot hold.
 */
export function configInstruction(
  change: Exclude<ConfigChange, { readonly kind: "user" }>,
): string | Inexpressible {
  switch (change.kind) {
    case "env": {
      const word = change.expand ? expandingWord : literalWord;
      return pairs("ENV", change.entries, word);
    }
    case "label":
      return pairs("LABEL", change.entries, literalWord);
    case "workdir":
      return oneLine(change.path) ?? `WORKDIR ${plainOr(change.path, literalWord)}`;
    case "entrypoint":
      return `ENTRYPOINT ${jsonForm(change.argv)}`;
    case "cmd":
      return `CMD ${jsonForm(change.argv)}`;
    case "shell":
      return `SHELL ${jsonForm(change.argv)}`;
    case "expose":
      return `EXPOSE ${change.ports.join(" ")}`;
    case "healthcheck":
      return healthcheck(change.check);
    default:
      return change satisfies never;
  }
}

function pairs(
  name: "ENV" | "LABEL",
  entries: readonly (readonly [string, string])[],
  word: (text: string) => string,
): string | Inexpressible {
  for (const [key, value] of entries) {
    const problem = oneLine(value);
    if (problem !== undefined)
      return { why: `the value of ${key} has a line break, which ${name} cannot hold` };
  }
  return `${name} ${entries.map(([key, value]) => `${plainOr(key, literalWord)}=${word(value)}`).join(" ")}`;
}

function plainOr(text: string, word: (text: string) => string): string {
  return /^[A-Za-z0-9_.:/@+-]+$/.test(text) ? text : word(text);
}

function oneLine(text: string): Inexpressible | undefined {
  return /[\r\n]/.test(text) ? { why: "a line break, which the instruction cannot hold" } : undefined;
}

function healthcheck(
  check: Extract<ConfigChange, { readonly kind: "healthcheck" }>["check"],
): string | Inexpressible {
  const [kind, ...rest] = check.Test ?? [];
  if (kind === "NONE") return "HEALTHCHECK NONE";
  const flags = [
    ["interval", check.Interval],
    ["timeout", check.Timeout],
    ["start-period", check.StartPeriod],
    ["start-interval", check.StartInterval],
  ].flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag}=${value}ns`]));
  if (check.Retries !== undefined) flags.push(`--retries=${check.Retries}`);
  const head = ["HEALTHCHECK", ...flags, "CMD"].join(" ");
  if (kind === "CMD") return `${head} ${jsonForm(rest)}`;
  const [script = ""] = rest;
  if (/[\r\n]/.test(script) || script.endsWith("\\") || script !== script.trim() || isJson(script)) {
    return { why: "the check's command is none that HEALTHCHECK can hold on its one line" };
  }
  return `${head} ${script}`;
}

function isJson(text: string): boolean {
  try {
    return Array.isArray(JSON.parse(text));
  } catch {
    return false;
  }
}
