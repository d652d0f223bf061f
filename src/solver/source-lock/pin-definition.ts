import { type CallSite, KilnError } from "../../errors.js";
import { checkOptions } from "../../internal/check-options.js";
import { capability } from "../../llb/capabilities.js";
import { wrongArgument } from "../../llb/check-argument.js";
import { Definition } from "../../llb/definition.js";
import {
  type DefinitionSource,
  rewriteSources,
  type SourceChange,
  sourcesOf,
} from "../../llb/rewrite-sources.js";
import type { Platform } from "../../oci/platform.js";
import { formatReference, parseReference } from "../../oci/reference.js";
import { checkLock } from "./lock-text.js";
import {
  describeName,
  entriesByKey,
  keyOf,
  type LockedSource,
  type SourceLock,
  type SourceName,
} from "./source-lock.js";
import { imageScheme, nameOfSource, parseGitIdentifier } from "./source-name.js";

/** Options of {@link pinDefinition}. */
export interface PinOptions {
  /** What images that name no platform are for. Default: they are for the daemon's own. */
  readonly platform?: Platform | undefined;
}

/**
 * The definition with every moving source replaced by what the lock holds for it. Pure: asks nobody, and names each op
 * by the digest that the daemon will give it.
 *
 * - An image gets the digest behind its name, and is not pulled again for being old (`resolveMode: "pull"` is dropped).
 * - A git source gets the commit in place of branch or tag, which the daemon does not ask the remote about if it has it.
 *   Where signatures are checked the ref stays, as the tag may be what is signed, and `checksum` is set.
 * - A file gets its checksum: a daemon that has no such file downloads it and refuses another one with
 *   `ERR_KILN_DIGEST_MISMATCH`.
 *
 * Sources that name their content themselves and those of this machine stay as they are. What frontends and graphs made
 * by steps take is not in a definition: see `sourceLockPolicy`.
 *
 * Throws `ERR_KILN_SOURCE_UNLOCKED` naming all sources that the lock does not hold, `ERR_KILN_LOCK_INVALID`, `ERR_KILN_INVALID_ARGUMENT`,
 * `ERR_KILN_UNKNOWN_OPTION`, and `ERR_KILN_INVALID_DEFINITION` for a foreign definition that cannot be read.
 */
export function pinDefinition(
  definition: Definition,
  lock: SourceLock,
  options: PinOptions = {},
): Definition {
  const call = "pinDefinition()";
  checkOptions(call, options, ["platform"]);
  if (!(definition instanceof Definition)) {
    throw wrongArgument(call, "the definition is no Definition", "Pass what marshal(state) returned.");
  }
  const entries = entriesByKey(checkLock(lock));
  const missing = namesOf([definition], options.platform).filter((name) => !entries.has(keyOf(name)));
  if (missing.length > 0) throw unlockedError(missing);
  return rewriteSources(definition, (source) => {
    const name = nameOfSource(source, options.platform);
    const entry = name === undefined ? undefined : entries.get(keyOf(name));
    return entry === undefined ? undefined : pinnedSource(source, entry);
  });
}

/** The names of all sources that a lock is for, each once. */
export function namesOf(
  definitions: readonly Definition[],
  platform: Platform | undefined,
): readonly SourceName[] {
  const names = new Map<string, SourceName>();
  for (const source of definitions.flatMap(sourcesOf)) {
    const name = nameOfSource(source, platform);
    if (name !== undefined) names.set(keyOf(name), name);
  }
  return [...names.values()];
}

/** `ERR_KILN_SOURCE_UNLOCKED` for sources that a lock does not hold. */
export function unlockedError(
  missing: readonly SourceName[],
  options: { readonly file?: string | undefined; readonly location?: CallSite | undefined } = {},
): KilnError {
  const { file, location } = options;
  const held = file === undefined ? "the lock does not hold" : `${file} does not hold`;
  const what = missing.length === 1 ? "" : `${missing.length} sources: `;
  return new KilnError(
    "ERR_KILN_SOURCE_UNLOCKED",
    `${held} ${what}${missing.map(describeName).sort().join(", ")}`,
    {
      hint: 'Lock them: pull "missing" resolves what the lock does not hold, "always" everything.',
      location,
    },
  );
}

function pinnedSource({ identifier, attrs }: DefinitionSource, entry: LockedSource): SourceChange {
  switch (entry.type) {
    case "image": {
      const reference = parseReference(identifier.slice(imageScheme.length));
      const { "image.resolvemode": mode, ...rest } = attrs;
      return {
        identifier: `${imageScheme}${formatReference({ ...reference, digest: entry.digest })}`,
        attrs: mode === undefined || mode === "pull" ? rest : attrs,
        caps: [],
      };
    }
    case "git": {
      if (Object.keys(attrs).some((attr) => attr.startsWith("git.sig."))) {
        const checksum = { "git.checksum": entry.tag ?? entry.commit };
        return { identifier, attrs: { ...attrs, ...checksum }, caps: [capability.gitChecksum] };
      }
      const { subDir } = parseGitIdentifier(identifier);
      const [remote = identifier] = identifier.split("#");
      return {
        identifier: `${remote}#${entry.commit}${subDir === "" ? "" : `:${subDir}`}`,
        attrs,
        caps: [],
      };
    }
    case "http":
      return {
        identifier,
        attrs: { ...attrs, "http.checksum": entry.digest },
        caps: [capability.httpChecksum],
      };
  }
}
