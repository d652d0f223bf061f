import { KilnError } from "../../../errors.js";
import { formatReference, type ImageReference, parseReference } from "../../../oci/reference.js";
import { eachStep, type LintedChain, type Rule, type RuleFinding } from "../rule.js";

/**
 * A base whose tag moves: `latest` (or none), which means another release one day, or any tag without a digest, which
 * is at least rebuilt. A source lock pins what it holds; the fix writes its digest into the chain.
 */
export const unpinnedBase: Rule = {
  id: "unpinned-base",
  severity: "warning",
  check: (chain) =>
    eachStep(({ step, traits }) => {
      const reference = traits.baseRef === undefined ? undefined : parsed(traits.baseRef);
      if (reference === undefined || reference.digest !== undefined) return [];
      const shown = traits.baseRef ?? "";
      const digests = lockedDigests(reference, chain.lock);
      const [digest] = digests;
      const { withBaseRef } = step;
      if (digest !== undefined) {
        // The user of a step that chooses its base has nothing to write a digest into.
        if (withBaseRef === undefined) return [];
        const finding: Omit<RuleFinding, "step"> = {
          severity: "info",
          message: `${shown} is pinned by the lock alone: builds without it follow the tag`,
          hint:
            digests.length === 1
              ? `Write ${shown}@${digest}, or always build with the lock.`
              : "Always build with the lock: it has another digest for each platform.",
        };
        if (digests.length > 1) return [finding];
        const index = chain.steps.findIndex((other) => other.step === step);
        return [
          {
            ...finding,
            fix: () =>
              chain.steps.map((other, place) =>
                place === index ? withBaseRef(formatReference({ ...reference, digest })) : other.step,
              ),
          },
        ];
      }
      const isLatest = reference.tag === "latest";
      return [
        {
          severity: isLatest ? "warning" : "info",
          message: isLatest
            ? `${shown} is whatever release is newest on the day of the build`
            : `${shown} is whatever its tag points to on the day of the build`,
          hint: `${
            isLatest ? "Name a release by its tag, and pin it: " : "Pin it: "
          }build with a lock (sourceLock, --lock kiln.lock)${
            withBaseRef === undefined ? "." : ", or write NAME:TAG@sha256:…"
          }`,
        },
      ];
    })(chain),
};

function parsed(ref: string): ImageReference | undefined {
  try {
    return parseReference(ref);
  } catch (error) {
    // A step of somebody else's may call a base what it likes.
    if (error instanceof KilnError) return undefined;
    throw error;
  }
}

/** What the lock has for an image: one digest, or several where platforms differ. */
function lockedDigests(reference: ImageReference, lock: LintedChain["lock"] = []): readonly string[] {
  const source = `docker-image://${formatReference(reference)}`;
  const entries = lock.filter((entry) => entry.type === "image" && entry.source === source);
  return [...new Set(entries.flatMap(({ digest }) => digest ?? []))];
}
