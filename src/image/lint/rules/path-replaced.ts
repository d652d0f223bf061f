import { eachStep, type Rule } from "../rule.js";

/** `env({ PATH })` without what was in it: later commands, and containers, find no programs of the base. */
export const pathReplaced: Rule = {
  id: "path-replaced",
  severity: "warning",
  check: eachStep(({ traits }) => {
    const path = traits.env?.["PATH"];
    if (path === undefined || /\$(?:PATH\b|\{PATH\b)/.test(path)) return [];
    const dirs = path.split(":");
    if (dirs.includes("/bin") || dirs.includes("/usr/bin")) return [];
    return [
      {
        message: `PATH is replaced by ${path}: programs in /usr/bin and /bin are no longer found`,
        hint: `Write PATH: "${path}:$PATH".`,
      },
    ];
  }),
};
