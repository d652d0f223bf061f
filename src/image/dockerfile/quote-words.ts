import { expandedParts } from "../expand-env.js";

/** A word of an instruction that expands nothing: `$`, quotes and backslashes mean themselves. */
export function literalWord(text: string): string {
  return `"${text.replaceAll(/[\\"$]/g, "\\$&")}"`;
}

/**
 * A word of an instruction in which variables expand exactly where {@link expandEnv} expands them: Docker knows more
 * forms, and other escapes.
 */
export function expandingWord(value: string): string {
  return `"${expanding(value, (text) => text.replaceAll(/[\\"$]/g, "\\$&"))}"`;
}

function expanding(value: string, literal: (text: string) => string): string {
  return expandedParts(value)
    .map((part) => {
      if (typeof part === "string") return literal(part);
      const { name, operator, word } = part;
      // Within braces, quotes begin a string of their own and a brace ends it all.
      const inner = operator === undefined ? "" : `${operator}${expanding(word, escapeInBraces)}`;
      return `\${${name}${inner}}`;
    })
    .join("");
}

function escapeInBraces(text: string): string {
  return text.replaceAll(/[\\"'$}]/g, "\\$&");
}

/** The exec form of an instruction. */
export function jsonForm(argv: readonly string[]): string {
  return JSON.stringify(argv);
}
