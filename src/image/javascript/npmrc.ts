import { KilnError } from "../../errors.js";

/**
 * Refuses a `.npmrc` that holds tokens or passwords: its text is part of the build's definition, which daemons keep.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` with the line and the setting, never the value.
 */
export function checkNpmrc(path: string, text: string): void {
  for (const [index, line] of text.split("\n").entries()) {
    const [, setting = "", value = ""] =
      /^\s*((?:\S+:)?_?(?:authToken|auth|password))\s*=\s*(.*?)\s*$/i.exec(line) ?? [];
    if (setting === "" || /^["']?\$\{[^}]+\}["']?$/.test(value)) continue;
    throw new KilnError(
      "ERR_KILN_INVALID_ARGUMENT",
      `${path}:${index + 1}: ${setting} is written out: it would be in the build's definition`,
      { hint: `Write ${setting}=\${NPM_TOKEN}, and give the step secrets: [Secret.fromEnv("NPM_TOKEN")].` },
    );
  }
}
