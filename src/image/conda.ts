import { formatPlatform, type Platform } from "../oci/platform.js";
import { argumentError, describe } from "./check-args.js";
import type { CacheMount } from "./lower-context.js";

const packagesDir = "/run/kiln/conda-pkgs";

/** What a command that calls micromamba runs with: downloaded packages in a cache mount, none left in the image. */
export function condaMounts(platform: Platform): {
  readonly env: readonly (readonly [string, string])[];
  readonly caches: readonly CacheMount[];
} {
  return {
    env: [
      ["CONDA_PKGS_DIRS", packagesDir],
      // The cache is another file system, which no file of an environment can be linked to.
      ["CONDA_ALWAYS_COPY", "true"],
      ["MAMBA_ALWAYS_COPY", "true"],
    ],
    caches: [{ target: packagesDir, id: `kiln-conda-${formatPlatform(platform)}`, sharing: "locked" }],
  };
}

/** Checks conda packages: `numpy`, `pymc==5.10.4`, `conda-forge::x`, `"python >=3.11"`. */
export function checkCondaPackages(call: string, packages: readonly string[]): readonly string[] {
  for (const spec of packages) {
    if (spec.startsWith("-")) {
      throw argumentError(call, `"${spec}" is a flag, not a package`, {
        hint: "Only packages go here; channels and specFile are options.",
      });
    }
    if (!/^[A-Za-z0-9_][\w.:/+-]*(?:\[[^\]\0\n]*\])?(?:\s*[=<>!~].*)?$/.test(spec) || /[\0\n]/.test(spec)) {
      throw argumentError(call, `${JSON.stringify(spec)} is no conda package`, {
        hint: 'Write "numpy", "pymc==5.10.4" or "python >=3.11"; one string a package.',
      });
    }
  }
  return packages;
}

/** Checks the option `channels`. */
export function checkChannels(call: string, channels: unknown): readonly string[] {
  if (channels === undefined) return [];
  const list: readonly unknown[] | undefined = Array.isArray(channels) ? channels : undefined;
  if (list === undefined) {
    throw argumentError(call, `channels must be a list, got ${describe(channels)}`, {
      hint: 'Write channels: ["conda-forge"].',
    });
  }
  return list.map((channel) => {
    if (typeof channel === "string" && /^[A-Za-z0-9][^\s\0]*$/.test(channel)) return channel;
    throw argumentError(call, `${describe(channel)} is no channel`, {
      hint: 'Write a name ("conda-forge") or an address ("https://…").',
    });
  });
}
