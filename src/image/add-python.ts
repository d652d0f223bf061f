import { posix } from "node:path";
import { KilnError } from "../errors.js";
import { checkOptions } from "../internal/check-options.js";
import { formatPlatform, type Platform } from "../oci/platform.js";
import { type BuilderVersion, isKnownStandalonePython, type StandalonePython } from "./builder-version.js";
import { type ChainState, envOf } from "./chain-state.js";
import { argumentError, describe } from "./check-args.js";
import type { StepNeeds } from "./define-step.js";
import type { CopyArchiveRequest, LowerContext } from "./lower-context.js";

/** How Python is added to a base that has none. */
export interface AddPythonOptions {
  /** A series, `"3.12"`, or `"3.14t"` for the free-threaded one; the rest is the builder version's. */
  readonly version: string;
  /** C library of the base; `"musl"` for Alpine. Default `"gnu"`. */
  readonly libc?: "gnu" | "musl" | undefined;
  /**
   * Where the archive comes from: the address of a mirror of python-build-standalone's downloads
   * (`https://mirror.example/python-build-standalone`, with `RELEASE/NAME` below it), a directory on this machine that
   * holds archives under their own names (these are not checked), or an archive of your own. Default: that project's
   * releases on GitHub.
   */
  readonly source?: string | PythonArchive | undefined;
}

/** A Python of one's own: a tar, plain or compressed, of a tree that goes to `/usr/local`. */
export interface PythonArchive {
  readonly url: string;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
  /** Directory in the archive that has `bin` and `lib`. Default `python`. */
  readonly prefix?: string | undefined;
}

/** {@link AddPythonOptions} checked. */
export interface CheckedAddPython {
  readonly version: string;
  readonly libc: "gnu" | "musl";
  readonly source:
    | { readonly kind: "mirror"; readonly url: string }
    | { readonly kind: "directory"; readonly path: string }
    | { readonly kind: "archive"; readonly url: string; readonly sha256: string; readonly prefix: string };
}

const releases = "https://github.com/astral-sh/python-build-standalone/releases/download";
const terminfo = "/etc/terminfo:/lib/terminfo:/usr/share/terminfo:/usr/lib/terminfo";
const target = "/usr/local";
const treeKey = "python";

/** Checks the option `addPython`. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`. */
export function checkAddPython(call: string, given: unknown): CheckedAddPython | undefined {
  if (given === undefined) return undefined;
  if (typeof given !== "object" || given === null) {
    return {
      version: checkVersion(call, given, false),
      libc: "gnu",
      source: { kind: "mirror", url: releases },
    };
  }
  checkOptions(`${call}: addPython`, given, ["version", "libc", "source"]);
  const { version, libc = "gnu", source }: Readonly<Partial<Record<keyof AddPythonOptions, unknown>>> = given;
  if (libc !== "gnu" && libc !== "musl") {
    throw argumentError(call, `addPython.libc must be one of two, got ${describe(libc)}`, {
      hint: 'Write libc: "gnu", or libc: "musl" for Alpine.',
    });
  }
  const checked = checkSource(call, source);
  return { version: checkVersion(call, version, checked.kind === "archive"), libc, source: checked };
}

/** What a step that adds Python needs: archives on this machine, if that is where they come from. */
export function addPythonNeeds({ version, source }: CheckedAddPython, builder: BuilderVersion): StepNeeds {
  if (source.kind !== "directory") return {};
  const { version: full, release } = standalone(version, builder);
  // With ? for the +, which patterns of this kind read as something else.
  const pattern = `cpython-${full}?${release}-*`;
  const tree = { kind: "dir", path: source.path, mode: "own" } as const;
  return {
    trees: { [treeKey]: { ...tree, ignore: ["*", `!${pattern}`], ignoreFiles: [] } },
    listings: { [treeKey]: { path: source.path, patterns: [pattern] } },
  };
}

/**
 * Puts Python into `/usr/local`, without a program of the image's. A base that says of itself (`PYTHON_VERSION`) that it has
 * this very series is left as it is.
 *
 * Throws `ERR_KILN_UNSUPPORTED` for a platform that there is no build for.
 */
export function addPython(
  chain: ChainState,
  options: CheckedAddPython,
  context: Pick<LowerContext, "builder" | "platform" | "listing" | "copyArchive" | "configure">,
): ChainState {
  if (envOf(chain.config).get("PYTHON_VERSION")?.startsWith(`${options.version}.`) === true) return chain;
  const added = context.copyArchive(chain, { ...archiveOf(options, context), to: target });
  return context.configure(added, { kind: "env", entries: [["TERMINFO_DIRS", terminfo]], expand: false });
}

/** The lines by which Modal's builder adds Python. */
export function modalAddPython({ version }: CheckedAddPython): readonly string[] {
  const minor = Number.parseInt(version.split(".")[1] ?? "", 10);
  return [
    "COPY /python/. /usr/local",
    ...(minor < 13 ? ["RUN ln -s /usr/local/bin/python3 /usr/local/bin/python"] : []),
    `ENV TERMINFO_DIRS=${terminfo}`,
  ];
}

function archiveOf(
  { version, libc, source }: CheckedAddPython,
  { builder, platform, listing }: Pick<LowerContext, "builder" | "platform" | "listing">,
): Pick<CopyArchiveRequest, "archive" | "from" | "title"> {
  if (source.kind === "archive") {
    const { url, sha256, prefix } = source;
    return { archive: { url, sha256 }, from: prefix, title: `add Python ${version}` };
  }
  const python = standalone(version, builder);
  const triple = tripleOf(platform, libc);
  const build = python.builds[triple];
  if (build === undefined) {
    throw new KilnError(
      "ERR_KILN_UNSUPPORTED",
      `there is no standalone Python ${version} for ${formatPlatform(platform)} with ${libc}`,
      {
        hint: `There is one for ${Object.keys(python.builds).join(", ")}; another archive can be its source.`,
      },
    );
  }
  const { flavor = "install_only_stripped.tar.gz", sha256 } = build;
  const name = `cpython-${python.version}+${python.release}-${triple}-${flavor}`;
  const from = flavor.includes("full") ? "/python/install" : "/python";
  const title = `add Python ${python.version}`;
  if (source.kind === "mirror") {
    const url = `${source.url}/${python.release}/${encodeURIComponent(name)}`;
    return { archive: { url, sha256 }, from, title };
  }
  if (listing(treeKey).includes(name)) return { archive: { tree: treeKey, path: `/${name}` }, from, title };
  throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `there is no ${posix.join(source.path, name)}`, {
    hint: `It is ${releases}/${python.release}/${encodeURIComponent(name)}.`,
  });
}

function tripleOf({ os, architecture }: Platform, libc: string): string {
  const machine = { amd64: "x86_64", arm64: "aarch64" }[architecture] ?? architecture;
  return `${machine}-unknown-${os}-${libc}`;
}

function standalone(version: string, builder: BuilderVersion): StandalonePython {
  const found = builder.standalonePythons[version];
  if (found !== undefined) return found;
  throw new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    `builder version ${builder.id} pins no standalone Python ${version}`,
    {
      hint: `It has ${Object.keys(builder.standalonePythons).join(", ")}; another archive can be its source.`,
    },
  );
}

function checkVersion(call: string, version: unknown, anyVersion: boolean): string {
  if (typeof version === "number") {
    throw argumentError(call, `addPython must be a string, got the number ${version}`, {
      hint: `Write "3.12" in quotes: the number 3.10 is 3.1.`,
    });
  }
  if (typeof version !== "string" || !/^3\.\d{1,2}t?$/.test(version)) {
    throw argumentError(call, `addPython needs a series of Python, got ${describe(version)}`, {
      hint: 'Write addPython: "3.12", or "3.14t" for the free-threaded one: the rest is pinned.',
    });
  }
  if (anyVersion || isKnownStandalonePython(version)) return version;
  throw argumentError(call, `there is no pinned standalone Python ${version}`, {
    hint: "Write another series, or give an archive of your own as addPython.source.",
  });
}

function checkSource(call: string, source: unknown): CheckedAddPython["source"] {
  if (source === undefined) return { kind: "mirror", url: releases };
  if (typeof source === "string" && source !== "" && !source.includes("\0")) {
    return isAddress(source)
      ? { kind: "mirror", url: source.replace(/\/+$/, "") }
      : { kind: "directory", path: source };
  }
  if (typeof source !== "object" || source === null) {
    throw argumentError(call, `addPython.source must be an address or a directory, got ${describe(source)}`, {
      hint: 'Write source: "https://mirror.example/python-build-standalone", or { url, sha256 } for an archive.',
    });
  }
  checkOptions(`${call}: addPython.source`, source, ["url", "sha256", "prefix"]);
  const { url, sha256, prefix = "python" }: Readonly<Partial<Record<keyof PythonArchive, unknown>>> = source;
  if (typeof url !== "string" || !isAddress(url)) {
    throw argumentError(call, "addPython.source.url must be the address of an archive", {
      hint: 'Write url: "https://mirror.example/python.tar.gz".',
    });
  }
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw argumentError(call, `addPython.source.sha256 must be a digest, got ${describe(sha256)}`, {
      code: "ERR_KILN_INVALID_DIGEST",
      hint: "Write 64 hexadecimal digits, as sha256sum prints them.",
    });
  }
  if (typeof prefix !== "string" || prefix.includes("\0")) {
    throw argumentError(call, `addPython.source.prefix must be a directory, got ${describe(prefix)}`, {
      hint: 'Write prefix: "python", the directory of the archive that has bin and lib.',
    });
  }
  return { kind: "archive", url, sha256, prefix: posix.resolve("/", prefix) };
}

function isAddress(text: string): boolean {
  return /^https?:\/\/\S+$/i.test(text);
}
