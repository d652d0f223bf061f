import { checkText, wrongArgument } from "./check-argument.js";

/**
 * Splits a command line into words: blanks separate, quotes keep together, `\` takes the next character as it is,
 * `#` at the start of a word begins a comment. Nothing is expanded. The rules of Go's `google/shlex`, on which the
 * client of BuildKit relies.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` on an unfinished quote or escape.
 */
export function shlex(text: string): readonly string[] {
  const call = "shlex()";
  const words: string[] = [];
  let word: string | undefined;
  let quote: '"' | "'" | undefined;
  const characters = [...checkText(call, "text", text)];
  for (let index = 0; index < characters.length; index += 1) {
    const character = characters[index] as string;
    if (quote === "'") {
      if (character === "'") quote = undefined;
      else word = (word ?? "") + character;
    } else if (character === "\\") {
      index += 1;
      const next = characters[index];
      if (next === undefined) throw unfinished(call, "an escape");
      word = (word ?? "") + next;
    } else if (quote === '"') {
      if (character === '"') quote = undefined;
      else word = (word ?? "") + character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (" \t\r\n".includes(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "#" && word === undefined) {
      while (index < characters.length && characters[index] !== "\n") index += 1;
    } else {
      word = (word ?? "") + character;
    }
  }
  if (quote !== undefined) throw unfinished(call, `a quote (${quote})`);
  if (word !== undefined) words.push(word);
  return words;
}

function unfinished(call: string, what: string): Error {
  return wrongArgument(call, `${what} has no end`, "Close it, or pass the words as an array.");
}
