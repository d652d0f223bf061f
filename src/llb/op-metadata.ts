import { compareBytes } from "./byte-order.js";
import { type Constraints, noConstraints } from "./constraints.js";
import type { OpMetadataFields } from "./op-fields.js";

type Metadata = { -readonly [Key in keyof OpMetadataFields]: OpMetadataFields[Key] };

/** Metadata values of one graph; what many ops have in common is made once. */
export class MetadataPool {
  readonly #byCaps = new Map<string, OpMetadataFields>();
  readonly #byList = new Map<readonly string[], OpMetadataFields>();

  /** Metadata of an op: what the graph says, then what the op says, then the capabilities that follow from it. */
  of(base: Constraints, own: Constraints, needed: readonly string[]): OpMetadataFields {
    if (own !== noConstraints) return this.#make(base, own, needed);
    let metadata = this.#byList.get(needed);
    if (metadata === undefined) {
      metadata = this.#make(base, own, needed);
      this.#byList.set(needed, metadata);
    }
    return metadata;
  }

  #make(base: Constraints, own: Constraints, needed: readonly string[]): OpMetadataFields {
    const caps = [...new Set([...base.caps, ...own.caps, ...needed])].sort(compareBytes);
    const plain = isPlain(base) && isPlain(own);
    const key = caps.join(" ");
    const known = plain ? this.#byCaps.get(key) : undefined;
    if (known !== undefined) return known;
    const metadata: Metadata = {};
    if (base.ignoreCache || own.ignoreCache) metadata.ignoreCache = true;
    if (base.description !== undefined || own.description !== undefined) {
      metadata.description = mapOf({ ...base.description, ...own.description });
    }
    const exported = own.exportCache ?? base.exportCache;
    if (exported !== undefined) metadata.exportCache = { Value: exported };
    if (caps.length > 0) metadata.caps = mapOf(Object.fromEntries(caps.map((cap) => [cap, true])));
    const group = own.progressGroup ?? base.progressGroup;
    if (group !== undefined) metadata.progressGroup = group;
    const resources = own.linuxResources ?? base.linuxResources;
    if (resources !== undefined) metadata.linuxResources = resources;
    Object.freeze(metadata);
    if (plain) this.#byCaps.set(key, metadata);
    return metadata;
  }
}

/** Metadata of two vertices that have become the same op: the later one adds to and wins over the earlier. */
export function mergeMetadata(
  earlier: OpMetadataFields | undefined,
  later: OpMetadataFields,
): OpMetadataFields {
  if (earlier === undefined || earlier === later) return later;
  const merged: Metadata = { ...earlier };
  if (later.ignoreCache === true) merged.ignoreCache = true;
  if (later.description !== undefined) merged.description = { ...earlier.description, ...later.description };
  if (later.exportCache !== undefined) merged.exportCache = later.exportCache;
  if (later.caps !== undefined) merged.caps = { ...earlier.caps, ...later.caps };
  if (later.progressGroup !== undefined) merged.progressGroup = later.progressGroup;
  if (later.linuxResources !== undefined) merged.linuxResources = later.linuxResources;
  return Object.freeze(merged);
}

function isPlain(constraints: Constraints): boolean {
  return (
    !constraints.ignoreCache &&
    constraints.description === undefined &&
    constraints.exportCache === undefined &&
    constraints.progressGroup === undefined &&
    constraints.linuxResources === undefined
  );
}

function mapOf<T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.freeze(entries);
}
