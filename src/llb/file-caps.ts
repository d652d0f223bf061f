import { capability } from "./capabilities.js";
import type { FileFields } from "./op-fields.js";

/**
 * Capabilities that the actions of a file op need and that are not sent with it.
 *
 * BuildKit's own client names none of them, and equal graphs are to be sent equally; but a daemon that lacks one takes no
 * notice of the option, or refuses the op in words of its own.
 */
export function fileCaps({ actions = [] }: FileFields): readonly string[] {
  const caps = new Set<string>();
  for (const { action } of actions) {
    if (action?.case === "symlink") caps.add(capability.fileSymlinkCreate);
    if (action?.case !== "copy") continue;
    const { modeStr, alwaysReplaceExistingDestPaths, requiredPaths } = action.value;
    if (modeStr !== undefined && modeStr !== "") caps.add(capability.fileCopyModeString);
    if (alwaysReplaceExistingDestPaths === true) caps.add(capability.fileCopyAlwaysReplace);
    if (requiredPaths !== undefined && requiredPaths.length > 0) caps.add(capability.fileCopyRequiredPaths);
  }
  return [...caps];
}
