import type { AppliedStep, StepNeeds, StepTree } from "../define-step.js";
import type { CopyTreeRequest } from "../lower-context.js";
import { ignoreLines } from "./ignore-lines.js";
import { contextPath } from "./local-paths.js";
import { jsonForm } from "./quote-words.js";
import type { Rendering } from "./recorded.js";

/** A local tree as COPY reads it. */
export interface LocalTree {
  readonly kind: "dir" | "file";
  /** Relative to the build context. */
  readonly path: string;
  /** What COPY is told of it: what to leave out, which modes. */
  readonly flags: readonly string[];
}

/** A tree of a step's needs. Throws `ERR_KILN_UNSUPPORTED`, and `ERR_KILN_READER_NEEDED` for an ignore file. */
export function localTree(
  { kind, path, ignore, ignoreFiles, mode }: StepTree,
  use: { readonly step: AppliedStep; readonly needs: StepNeeds; readonly rendering: Rendering },
): LocalTree {
  const { step, needs, rendering } = use;
  const patterns: string[] = [];
  for (const key of ignoreFiles) {
    const file = needs.files?.[key];
    const content = file && rendering.file(file.path, step);
    if (content === undefined) continue;
    patterns.push(...ignoreLines(new TextDecoder().decode(content)));
    break;
  }
  return {
    kind,
    path: contextPath(path, rendering.contextDir, step),
    flags: [
      ...excludeFlags([...patterns, ...ignore]),
      // Directories and what its owner may execute get 0755, other files 0644.
      ...(mode === "normalize" ? ["--chmod=u=rwX,go=rX"] : []),
    ],
  };
}

/** Flags that leave files of a COPY's sources out. */
export function excludeFlags(patterns: readonly string[]): readonly string[] {
  return patterns.map((pattern) => {
    const flag = `--exclude=${pattern}`;
    return /[\s"'\\$]/.test(pattern) ? `"${flag.replaceAll(/["\\$]/g, "\\$&")}"` : flag;
  });
}

/** Copies of a local tree, as root's. */
export function copyInstruction(
  tree: LocalTree,
  { from, to, contents }: Pick<CopyTreeRequest, "from" | "to" | "contents">,
): string {
  const within = tree.kind === "file" ? "" : from.replace(/^\/+|\/+$/g, "");
  const path = [tree.path === "." && within !== "" ? "" : tree.path, within]
    .filter((part) => part !== "")
    .join("/");
  const source = contents ? `${path}/` : path;
  const paths = [source, contents && !to.endsWith("/") ? `${to}/` : to];
  const plain = paths.every((one) => /^[A-Za-z0-9_./:@+%~-]+$/.test(one) && !one.startsWith("--"));
  const words = plain ? paths.join(" ") : jsonForm(paths.map((one) => one.replaceAll(/[\\$]/g, "\\$&")));
  return ["COPY", "--chown=0:0", ...tree.flags, words].join(" ");
}
