import { KilnError } from "../../errors.js";
import type { BaseNeed } from "../../model/needs.js";
import { formatReference, parseReference } from "../../oci/reference.js";

/**
 * Where bases come from in place of the registry that they name, by the beginning of their full reference.
 *
 * `{ "docker.io": "mirror.example/hub" }` takes `docker.io/library/debian:12` from `mirror.example/hub/library/debian:12`;
 * `{ "docker.io/library": "oci-layout:./bases" }` from the image of that name in an OCI layout (in full, `debian:12`, or what
 * follows the key: the tag, if that is a whole repository). The longest key that fits counts. Locks and errors keep the
 * name that the chain has.
 */
export type Mirrors = Readonly<Record<string, string>>;

const layoutScheme = "oci-layout:";

/** Checks mirrors. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkMirrors(call: string, mirrors: Mirrors): void {
  for (const [from, to] of Object.entries(mirrors)) {
    const bad = (why: string): KilnError =>
      new KilnError("ERR_KILN_INVALID_ARGUMENT", `${call}: the mirror of "${from}" ${why}`, {
        hint: 'Write mirrors: { "docker.io": "mirror.example/hub" } or { "docker.io": "oci-layout:./bases" }.',
      });
    if (!/^[a-z0-9][\w.:-]*(?:\/[\w.-]+)*$/i.test(from)) throw bad("is for no registry or path of one");
    if (typeof to !== "string" || to === "") throw bad("names nothing");
    if (to.startsWith(layoutScheme)) {
      if (to === layoutScheme) throw bad("names no directory");
    } else if (!/^[a-z0-9][\w.:-]*(?:\/[\w.-]+)*$/i.test(to))
      throw bad(`is no registry: ${JSON.stringify(to)}`);
  }
}

/** Where a base is really taken from. */
export type MirroredBase =
  | { readonly kind: "registry"; readonly ref: string }
  | { readonly kind: "oci-layout"; readonly path: string; readonly names: readonly string[] };

/** Where a registry base comes from by the mirrors; `undefined` = from its own registry. */
export function mirrored(
  need: Extract<BaseNeed, { readonly kind: "registry" }>,
  mirrors: Mirrors,
): MirroredBase | undefined {
  // A key is a registry, a path of one, or a whole repository.
  const keys = Object.keys(mirrors).filter((key) =>
    ["/", ":", "@"].some((next) => need.ref.startsWith(key + next)),
  );
  const [key] = keys.sort((a, b) => b.length - a.length);
  const to = key === undefined ? undefined : mirrors[key];
  if (key === undefined || to === undefined) return undefined;
  const rest = need.ref.slice(key.length + 1);
  if (!to.startsWith(layoutScheme)) {
    return { kind: "registry", ref: formatReference(parseReference(to + need.ref.slice(key.length))) };
  }
  // However the layout's maker called it: in full, as Docker shows it, or without what the key says already.
  const familiar = need.ref.replace(/^docker\.io\/(?:library\/)?/, "");
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(need.ref)?.[1];
  const names = [...(digest === undefined ? [] : [digest]), need.ref, familiar, rest];
  return { kind: "oci-layout", path: to.slice(layoutScheme.length), names: [...new Set(names)] };
}

/** Where a reference leads by the mirrors that are registries; `undefined` = to its own registry. */
export function mirroredRef(ref: string, mirrors: Mirrors): string | undefined {
  const mirror = mirrored({ kind: "registry", id: "", ref, location: undefined }, mirrors);
  return mirror?.kind === "registry" ? mirror.ref : undefined;
}

/** The mirrors that are OCI layouts: what they stand for, and their directories. */
export function layoutMirrors(mirrors: Mirrors): readonly { readonly key: string; readonly path: string }[] {
  return Object.entries(mirrors).flatMap(([key, to]) =>
    to.startsWith(layoutScheme) ? [{ key, path: to.slice(layoutScheme.length) }] : [],
  );
}
