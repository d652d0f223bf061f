import type { Definition } from "../../llb/definition.js";
import { sourcesOf } from "../../llb/rewrite-sources.js";
import { annotationKeys } from "../../oci/descriptor.js";
import type { OciLayout } from "../../oci/layout.js";
import type { Platform } from "../../oci/platform.js";
import { formatReference, parseReference } from "../../oci/reference.js";
import type { LockedImage, PullMode, SourceLock } from "../../solver/source-lock/source-lock.js";
import { imageScheme, nameOfSource, platformName } from "../../solver/source-lock/source-name.js";
import type { SourcePolicy, SourceRule } from "../../solver/supply-chain/source-policy.js";
import { type Mirrors, mirroredRef } from "../registries/mirrors.js";

/** An OCI layout that stands for a registry, or a path of one. */
export interface MirrorLayout {
  /** The beginning of the names that it stands for. */
  readonly key: string;
  /** Under which the session serves it. */
  readonly store: string;
  readonly layout: OciLayout;
}

/** What the images that a Dockerfile names are resolved by. */
export interface DockerfileSources {
  readonly platform: Platform;
  readonly lock: SourceLock | undefined;
  readonly pull: PullMode;
  readonly mirrors: Mirrors;
  readonly policy: SourcePolicy | undefined;
}

/**
 * Rules under which a frontend resolves images as a chain's bases are: to what is locked, at the mirrors. A name that is
 * in no lock is refused under `locked`; the build's own rules see the names after the conversion, as for bases.
 */
export function dockerfilePolicy(sources: DockerfileSources): SourcePolicy | undefined {
  const { pull, mirrors, policy } = sources;
  const rules: readonly SourceRule[] = [
    ...lockRules(sources),
    ...mirrorRules(mirrors),
    ...(policy?.rules ?? []),
    // Last, so that no rule of the build's takes it back.
    ...(pull === "locked" ? [denyUnlocked] : []),
  ];
  return rules.length === 0 ? policy : { rules };
}

const denyUnlocked: SourceRule = {
  action: "deny",
  selector: { identifier: "^docker-image://[^@]*$", match: "regex" },
};

function lockRules({ lock, pull, platform, mirrors }: DockerfileSources): readonly SourceRule[] {
  if (lock === undefined || pull === "always") return [];
  const images = new Map<string, LockedImage>();
  for (const entry of lock.sources) {
    if (entry.type !== "image") continue;
    // A rule cannot tell platforms apart; mostly a name stands for one index of all of them.
    if (images.has(entry.source) && entry.platform !== platformName(platform)) continue;
    images.set(entry.source, entry);
  }
  return [...images.values()].map(({ source, digest }) => {
    const name = source.slice(imageScheme.length);
    const reference = parseReference(mirroredRef(name, mirrors) ?? name);
    return {
      action: "convert",
      selector: { identifier: source, match: "exact" },
      updates: { identifier: `${imageScheme}${formatReference({ ...reference, digest })}` },
    };
  });
}

// Longest first: the first rule that fits converts.
function mirrorRules(mirrors: Mirrors): readonly SourceRule[] {
  const registries = Object.entries(mirrors)
    .filter(([, to]) => !to.startsWith("oci-layout:"))
    .sort(([a], [b]) => b.length - a.length);
  return registries.map(([from, to]) => {
    // The rules see a converted name again: what comes out of one must not go into one.
    const made = registries.flatMap(([, other]) =>
      other.startsWith(`${from}/`) ? [`${other.slice(from.length + 1)}/`] : [],
    );
    return {
      action: "convert",
      selector: { identifier: `^docker-image://${escaped(from)}/(${notBeginning(made)})$`, match: "regex" },
      updates: { identifier: `${imageScheme}${to}/$1` },
    };
  });
}

/** A pattern of all texts that begin with none of these: the daemon's patterns have no negation. */
function notBeginning(prefixes: readonly string[]): string {
  const nexts = new Map<string, Set<string>>();
  for (const prefix of prefixes) {
    for (let length = 0; length < prefix.length; length += 1) {
      const head = prefix.slice(0, length);
      nexts.set(head, (nexts.get(head) ?? new Set()).add(prefix[length] ?? ""));
    }
  }
  if (nexts.size === 0) return ".*";
  const ends = [...nexts].map(([head, next]) => {
    const others = [...next].map((char) => char.replace(/[\\\]^-]/, "\\$&")).join("");
    return `${escaped(head)}(?:[^${others}].*)?`;
  });
  return ends.join("|");
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** The frontend's options by which it finds images in layouts under the names of a registry. */
export function layoutContexts(layouts: readonly MirrorLayout[]): Readonly<Record<string, string>> {
  const contexts = new Map<string, string>();
  // The longest key counts.
  for (const { key, store, layout } of [...layouts].sort((a, b) => a.key.length - b.key.length)) {
    for (const { digest, annotations } of layout.index.manifests) {
      const names = [annotations?.[annotationKeys.imageName], annotations?.[annotationKeys.refName]];
      for (const name of names.flatMap((each) => each ?? [])) {
        const full = fullName(name, key);
        if (full !== undefined) contexts.set(`context:${familiar(full)}`, `oci-layout://${store}@${digest}`);
      }
    }
  }
  return Object.fromEntries(contexts);
}

/** The full name, however the layout's maker called the image: in full, as Docker shows it, or without what the key says. */
function fullName(name: string, key: string): string | undefined {
  for (const text of [name, `${key}/${name}`]) {
    try {
      const full = formatReference(parseReference(text));
      if (full.startsWith(`${key}/`)) return full;
    } catch {
      // Annotations may hold anything.
    }
  }
  return undefined;
}

/** A reference as the frontend looks for it among its contexts. */
function familiar(full: string): string {
  return full.replace(/^docker\.io\/(?:library\/)?/, "").replace(/:latest$/, "");
}

/**
 * What the images of a frontend's graph are locked to, by the names that the Dockerfile has; `known` are ops that are not
 * of the frontend's making. Images that the Dockerfile names by a digest need no entry.
 */
export function lockOfDockerfile(
  definition: Definition,
  use: {
    readonly known: ReadonlySet<string>;
    /** The Dockerfile and its arguments. */
    readonly texts: readonly string[];
    readonly platform: Platform;
    readonly mirrors: Mirrors;
  },
): SourceLock {
  const { known, texts, mirrors } = use;
  const sources = sourcesOf(definition).flatMap(({ op, identifier, platform }): readonly LockedImage[] => {
    if (known.has(op.digest) || !identifier.startsWith(imageScheme)) return [];
    const reference = parseReference(identifier.slice(imageScheme.length));
    const { digest } = reference;
    if (digest === undefined || reference.tag === undefined) return [];
    if (texts.some((text) => text.includes(digest))) return [];
    const found = formatReference({ ...reference, digest: undefined });
    return namesAt(found, mirrors).flatMap((name) => {
      const source = { identifier: `${imageScheme}${name}`, attrs: {}, platform: platform ?? use.platform };
      const named = nameOfSource(source);
      return named?.type === "image" ? [{ ...named, digest }] : [];
    });
  });
  return { version: 1, sources };
}

/** The names that lead to a reference by the mirrors; itself where none does. */
export function namesAt(ref: string, mirrors: Mirrors): readonly string[] {
  const names = Object.entries(mirrors).flatMap(([from, to]) => {
    const name = ref.startsWith(`${to}/`) ? `${from}${ref.slice(to.length)}` : undefined;
    return name !== undefined && mirroredRef(name, mirrors) === ref ? [name] : [];
  });
  return names.length === 0 ? [ref] : names;
}
