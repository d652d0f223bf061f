/**
 * A module for `node --import` that appends the address of every module that the process loads to the file which the
 * variable `SEEN` names.
 */
export const loadedModulesHook = `
import { register } from "node:module";
register("data:text/javascript," + encodeURIComponent(\`
  import { appendFileSync } from "node:fs";
  export async function resolve(specifier, context, next) {
    const found = await next(specifier, context);
    if (process.env.SEEN) appendFileSync(process.env.SEEN, found.url + "\\\\n");
    return found;
  }
\`));
`;
