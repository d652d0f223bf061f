import type { PackageTrait } from "../../step-traits.js";
import { eachStep, type Rule, type RuleFinding } from "../rule.js";

type Pin = "exact" | "range" | "none";

/**
 * Packages without a version, or with a range of versions: which one is installed depends on the day. What a lock file
 * or a requirements file names is not looked at. Debian's packages weigh less: its mirrors drop old versions, so that
 * a pinned one soon cannot be installed.
 */
export const unpinnedPackage: Rule = {
  id: "unpinned-package",
  severity: "warning",
  check: eachStep(({ traits }) => {
    const found: Omit<RuleFinding, "step">[] = [];
    for (const manager of ["pip", "npm", "conda", "apt"] as const) {
      const packages = (traits.packages ?? []).filter((item) => item.manager === manager);
      const loose = packages.filter((item) => pinOf(item) === "none").map(({ spec }) => spec);
      const ranges = packages.filter((item) => pinOf(item) === "range").map(({ spec }) => spec);
      if (loose.length > 0) {
        found.push({
          severity: manager === "apt" ? "info" : "warning",
          message: `${listed(loose)}: no version is named, so another build may install another one`,
          hint: hints[manager],
        });
      }
      if (ranges.length > 0) {
        found.push({
          severity: "info",
          message: `${listed(ranges)}: a range of versions, of which another build may choose another one`,
          hint: hints[manager],
        });
      }
    }
    return found;
  }),
};

const hints: Readonly<Record<PackageTrait["manager"], string>> = {
  pip: 'Name one, e.g. "torch==2.4.1", or install from a lock: uvSync, or a requirements file made by uv pip compile.',
  npm: 'Name one, e.g. "left-pad@1.3.0", or install from a lock file.',
  conda: 'Name one, e.g. "numpy=1.26.4".',
  apt: 'Where the version matters, name one: "git=1:2.39.*". Debian drops old versions, so expect to move it on.',
};

/** How far a package's version is fixed, by the rules of its manager. */
export function pinOf({ manager, spec }: PackageTrait): Pin {
  switch (manager) {
    case "apt":
      return /[=/]/.test(spec) ? "exact" : "none";
    case "conda": {
      const version = /^(?:[^\s=<>!~]*::)?[^\s=<>!~]+\s*(.*)$/.exec(spec)?.[1] ?? "";
      if (version === "") return "none";
      return /^==?\s*[^\s*<>!=,|]+(?:=\S+)?$/.test(version) ? "exact" : "range";
    }
    case "npm":
      return npmPin(spec);
    case "pip":
      return pipPin(spec);
    default:
      return manager satisfies never;
  }
}

// PEP 508.
function pipPin(spec: string): Pin {
  const [requirement = ""] = spec.split(";");
  const direct = /(?:^|@\s*)((?:git\+|hg\+|bzr\+|svn\+)?[a-z]+:\/\/\S+)/.exec(requirement)?.[1];
  if (direct !== undefined) return urlPin(direct);
  if (/^\s*[./~]/.test(requirement)) return "exact";
  const version = requirement.replace(/^[^=<>!~[]*(?:\[[^\]]*\])?/, "").replaceAll(/[()\s]/g, "");
  if (version === "") return "none";
  return version.split(",").some((part) => /^===?[^*=]+$/.test(part)) ? "exact" : "range";
}

function npmPin(spec: string): Pin {
  if (/^(?:\.{0,2}\/|~\/|file:|link:|workspace:)/.test(spec)) return "exact";
  const at = spec.indexOf("@", 1);
  const version = at < 0 ? "" : spec.slice(at + 1);
  const alias = /^npm:(.+)$/.exec(version)?.[1];
  if (alias !== undefined) return npmPin(alias);
  const source = /^(?:git\+|git:|https?:|ssh:|github:|gitlab:|bitbucket:)/.test(spec) ? spec : version;
  if (/^(?:git\+|git:|https?:|ssh:|github:|gitlab:|bitbucket:)/.test(source)) return urlPin(source);
  if (/^[\w.-]+\/[\w.-]+(?:#|$)/.test(spec)) return urlPin(`github:${spec}`);
  if (/^[v=]*\d+\.\d+\.\d+(?:[-+][\w.+-]+)?$/.test(version)) return "exact";
  return version === "" || /^[a-z][\w.-]*$/i.test(version) ? "none" : "range";
}

/** A repository is pinned by a commit's id; an archive is taken for what it is. */
function urlPin(url: string): Pin {
  const isRepository =
    /^(?:git|hg|bzr|svn)\+|^git:|^ssh:|^(?:github|gitlab|bitbucket):|\.git(?:[#@?]|$)/.test(url);
  if (!isRepository) return "exact";
  return /[@#](?:[^#@\s]*=)?[0-9a-f]{40}(?:[0-9a-f]{24})?(?:[#?&]|$)/.test(url) ? "exact" : "none";
}

function listed(specs: readonly string[]): string {
  const shown = specs.slice(0, 5).join(", ");
  return specs.length > 5 ? `${shown} and ${specs.length - 5} more` : shown;
}
