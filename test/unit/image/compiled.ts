import { compile } from "../../../src/image/compile.js";
import type { Image } from "../../../src/image/image.js";
import { needsOf } from "../../../src/image/needs-of.js";
import { decodeOp } from "../../../src/llb/decode-op.js";
import type { Facts } from "../../../src/model/facts.js";
import type { Plan } from "../../../src/model/plan.js";
import type { ContainerConfig } from "../../../src/oci/image-config.js";
import { facts } from "./facts.js";

/** Local files as a build would find them: contents by path. */
export type LocalFiles = Readonly<Record<string, string>>;

/** What a chain needs when these local files are there, asked as a build asks. */
export function needsWith(image: Image, local: LocalFiles = {}) {
  const files = new Map<string, Uint8Array>();
  const listings = new Map<string, readonly string[]>();
  for (;;) {
    const needs = needsOf(image, { found: { files, listings } });
    const before = files.size + listings.size;
    for (const { id, path } of needs.files) {
      const content = local[path];
      if (content !== undefined) files.set(id, new TextEncoder().encode(content));
    }
    for (const { id, path, patterns } of needs.listings) listings.set(id, list(local, path, patterns));
    if (files.size + listings.size === before) return { needs, files, listings };
  }
}

/** A chain compiled with these local files; its bases have `config`. */
export function planOf(
  image: Image,
  local: LocalFiles = {},
  config: ContainerConfig = {},
  extra: Partial<Facts> = {},
): Plan {
  const { needs, files, listings } = needsWith(image, local);
  const some = facts(config, extra);
  const base = some.bases.get("0.base");
  if (base === undefined) throw new Error("there is no base among the facts");
  return compile(image, {
    ...some,
    bases: new Map(needs.bases.map(({ id }) => [id, base])),
    trees: new Map(needs.trees.map(({ id }) => [id, { name: `tree ${id}`, sharedKeyHint: `key ${id}` }])),
    files,
    listings,
    ...extra,
  });
}

/** The commands that a plan runs, in order. */
export function execsOf(plan: Plan) {
  return (plan.definition?.ops ?? []).flatMap(({ bytes }) => {
    const { op } = decodeOp(bytes);
    return op.case === "exec" ? [op.value] : [];
  });
}

/** The file actions that a plan runs, in order, those that make mounts among them. */
export function actionsOf(plan: Plan) {
  return (plan.definition?.ops ?? []).flatMap(({ bytes }) => {
    const { op } = decodeOp(bytes);
    return op.case === "file" ? op.value.actions.map(({ action }) => action) : [];
  });
}

/** Texts of the small files that a plan makes. */
export function madeFiles(plan: Plan): readonly string[] {
  return actionsOf(plan).flatMap((action) =>
    action.case === "mkfile" ? [new TextDecoder().decode(action.value.data)] : [],
  );
}

// As far as steps use patterns: names, and all below a directory by their ending.
function list(local: LocalFiles, dir: string, patterns: readonly string[]): readonly string[] {
  const root = dir === "." ? "" : `${dir.replace(/^\.\//, "").replace(/\/$/, "")}/`;
  const below = Object.keys(local).flatMap((path) =>
    path.startsWith(root) ? [path.slice(root.length)] : [],
  );
  const matches = (path: string, pattern: string): boolean => {
    const [start = "", ending] = pattern.split("**/*");
    return ending === undefined ? path === pattern : path.startsWith(start) && path.endsWith(ending);
  };
  return below.filter((path) => patterns.some((pattern) => matches(path, pattern))).sort();
}
