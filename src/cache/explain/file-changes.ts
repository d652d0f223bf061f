import type { Cause } from "../../model/cause.js";
import type { TreeDiff } from "../../model/tree-diff.js";
import { listed } from "./describe-change.js";

type FilesCause = Extract<Cause, { kind: "files" }>;

/** The cause that a tree's contents changed: `2 of 10,412 files changed: src/app.py, src/main.py`. */
export function filesCause(name: string, diff: TreeDiff | undefined): FilesCause {
  if (diff === undefined) {
    return { kind: "files", text: `${name} changed`, changed: 0, total: 0, paths: [] };
  }
  const { added, removed, changed, renamed = [] } = diff;
  const changes: readonly Change[] = [
    ...changed.map(({ path, what }) => ({ path, kind: what })),
    ...renamed.map(({ from, to }) => ({ path: `${from} → ${to}`, kind: "renamed" })),
    ...added.map((path) => ({ path, kind: "added" })),
    ...removed.map((path) => ({ path, kind: "removed" })),
  ];
  const differing = Math.max(diff.differences ?? 0, changes.length);
  // Nothing but what only one of the two shows, as times are.
  if (differing === 0)
    return { kind: "files", text: `${name} changed`, changed: 0, total: diff.total, paths: [] };
  const total = Math.max(diff.total + removed.length, differing);
  const paths = changes.slice(0, 3).map(({ path }) => path);
  const cause = { kind: "files", changed: differing, total, paths } as const;
  const [only] = changes;
  // A tree of one file has a name of its own for it.
  if (total === 1 && only?.path === "file") {
    return {
      ...cause,
      paths: [name],
      text: only.kind === "mode" ? `mode of ${name} changed` : `${name} changed`,
    };
  }
  const count = `${differing.toLocaleString("en-US")} of ${total.toLocaleString("en-US")} files`;
  const kinds = new Set(changes.map(({ kind }) => kind));
  const [kind = ""] = kinds;
  if (kinds.size === 1) {
    const names = listed(
      changes.map(({ path }) => path),
      differing,
    );
    if (["added", "removed", "renamed"].includes(kind))
      return { ...cause, text: `${count} ${kind}: ${names}` };
    if (kind === "content") return { ...cause, text: `${count} changed: ${names}` };
    return { ...cause, text: `${kind} of ${count} changed: ${names}` };
  }
  return { ...cause, text: `${count} changed: ${listed(changes.map(mixed), differing)}` };
}

interface Change {
  readonly path: string;
  readonly kind: string;
}

function mixed({ path, kind }: Change): string {
  if (kind === "added") return `+ ${path}`;
  if (kind === "removed") return `− ${path}`;
  return kind === "content" || kind === "renamed" ? path : `${path} (${kind})`;
}
