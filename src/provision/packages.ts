import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Debian, findDebian } from "./debian.js";
import { withLock } from "./lock.js";
import { type Machine, thisMachine } from "./machine.js";
import type { PackageSet } from "./package-sets.js";
import { writeWhole } from "./prefix.js";
import type { OnProgress } from "./progress.js";
import { runCommand } from "./run-command.js";
import { setupError } from "./setup-error.js";

/** What everything that works under a prefix takes. */
export interface ProvisionOptions {
  /** The absolute path of the folder that everything is kept in. */
  readonly prefix: string;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The machine to look at; this one by default. */
  readonly machine?: Machine | undefined;
}

/** A package set that lies unpacked on the disk. */
export interface UnpackedPackages {
  /** The folder that stands for `/` of the packages. */
  readonly root: string;
  /** The release they came from. */
  readonly suite: string;
  /** Versions by package name. */
  readonly versions: Readonly<Record<string, string>>;
}

const STAMP = "kiln-packages.json";
/** For how long a package index is taken to be current. */
const INDEX_FRESH_MS = 3_600_000;

/**
 * Makes sure that a package set lies unpacked under the prefix, without installing anything.
 *
 * Packages come by `apt-get download` with a private apt configuration: the machine's own archive and the
 * installed signing keys, but an index, cache and list of sources under the prefix. They are unpacked into a
 * scratch folder that takes its final name last, with a stamp of the versions found: an interrupted run
 * leaves nothing that a later one could mistake for a whole set.
 *
 * Throws `ERR_KILN_ENGINE_SETUP` when the machine is no Debian, the archive cannot be reached, or a package
 * is in none of the set's releases.
 */
export async function ensurePackages(set: PackageSet, options: ProvisionOptions): Promise<UnpackedPackages> {
  const root = join(options.prefix, "packages", set.name);
  const present = await readStamp(root, set);
  if (present !== undefined) return present;
  return withLock(
    `packages ${root}`,
    async () => {
      const meanwhile = await readStamp(root, set);
      if (meanwhile !== undefined) return meanwhile;
      const debian = await findDebian(options.machine ?? thisMachine());
      const suites = set.suites ?? [debian.suite];
      let failure: unknown;
      for (const suite of suites) {
        try {
          return await fetchSet(set, root, suite, debian, options);
        } catch (error) {
          options.signal?.throwIfAborted();
          failure ??= error;
        }
      }
      throw failure;
    },
    { signal: options.signal, onWait: () => tellWait(options, `the packages of ${set.name}`) },
  );
}

/** Reports that another process is doing what this one wants done. */
export function tellWait(options: ProvisionOptions, what: string): void {
  options.onProgress?.({ phase: "wait", message: `waiting for another process to set up ${what}` });
}

async function readStamp(root: string, set: PackageSet): Promise<UnpackedPackages | undefined> {
  const text = await readFile(join(root, STAMP), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const stamp = JSON.parse(text) as Omit<UnpackedPackages, "root">;
  return set.packages.every((name) => Object.hasOwn(stamp.versions, name)) ? { root, ...stamp } : undefined;
}

async function fetchSet(
  set: PackageSet,
  root: string,
  suite: string,
  debian: Debian,
  options: ProvisionOptions,
): Promise<UnpackedPackages> {
  const scratch = `${root}.${randomBytes(6).toString("hex")}`;
  const debs = join(scratch, "debs");
  const tree = join(scratch, "root");
  try {
    await mkdir(debs, { recursive: true });
    await mkdir(tree);
    await withLock(`index ${options.prefix} ${suite}`, () => download(set, suite, debs, debian, options), {
      signal: options.signal,
      onWait: () => tellWait(options, `the index of ${suite}`),
    });
    const versions: Record<string, string> = {};
    const files = (await readdir(debs)).filter((name) => name.endsWith(".deb")).sort();
    for (const [index, file] of files.entries()) {
      const [name = file, version = ""] = file.split("_");
      versions[name] = decodeURIComponent(version);
      const message = `unpacking ${name} ${versions[name]}`;
      options.onProgress?.({ phase: "unpack", message, done: index, total: files.length });
      const { code, lines } = await runCommand("dpkg", ["-x", join(debs, file), tree], options);
      if (code !== 0) {
        throw setupError(
          `cannot unpack ${file}: ${lastLine(lines)}`,
          "Check the disk's free space and try again.",
        );
      }
    }
    await writeWhole(join(tree, STAMP), JSON.stringify({ suite, versions }, undefined, 2));
    await rm(root, { recursive: true, force: true });
    await rename(tree, root);
    return { root, suite, versions };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function download(
  set: PackageSet,
  suite: string,
  target: string,
  debian: Debian,
  options: ProvisionOptions,
): Promise<void> {
  const apt = await prepareApt(join(options.prefix, "apt", suite), suite, debian);
  const updated = join(apt.home, "updated");
  const age = await stat(updated).then(
    (found) => Date.now() - found.mtimeMs,
    () => Number.POSITIVE_INFINITY,
  );
  let fresh = age > INDEX_FRESH_MS;
  if (fresh) await update(apt, suite, debian, options);
  const total = set.packages.length;
  for (;;) {
    let done = 0;
    const { code, lines } = await runCommand(
      "apt-get",
      [...apt.args, "download", ...set.packages.map((name) => `${name}/${suite}`)],
      {
        cwd: target,
        env: { ...process.env, LC_ALL: "C" },
        signal: options.signal,
        onLine: (line) => {
          const got = /^Get:\d+ \S+ \S+ \S+ (\S+) \S+ (\S+)/.exec(line);
          if (got === null) return;
          options.onProgress?.({
            phase: "download",
            message: `downloading ${got[1]} ${got[2]}`,
            done,
            total,
          });
          done += 1;
        },
      },
    );
    if (code === 0) return;
    // An index of an hour ago may name files that the archive has replaced since.
    if (fresh) throw downloadError(lines, suite, debian);
    fresh = true;
    await update(apt, suite, debian, options);
  }
}

interface PrivateApt {
  readonly home: string;
  readonly args: readonly string[];
}

async function prepareApt(home: string, suite: string, debian: Debian): Promise<PrivateApt> {
  for (const folder of ["sources", "preferences", "lists/partial", "cache/archives/partial"]) {
    await mkdir(join(home, folder), { recursive: true });
  }
  const fields = [
    ["Types", "deb"],
    ["URIs", debian.mirror],
    ["Suites", suite],
    ["Components", "main"],
    ["Signed-By", debian.keyring],
  ];
  await writeWhole(
    join(home, "sources", "debian.sources"),
    fields.map(([name, value]) => `${name}: ${value}\n`).join(""),
  );
  const settings = [
    "Dir::Etc::sourcelist=/dev/null",
    `Dir::Etc::sourceparts=${join(home, "sources")}`,
    `Dir::Etc::preferences=/dev/null`,
    `Dir::Etc::preferencesparts=${join(home, "preferences")}`,
    `Dir::State::Lists=${join(home, "lists")}`,
    `Dir::Cache=${join(home, "cache")}`,
    "Acquire::Languages=none",
    "Acquire::Retries=3",
    // Without it apt drops to a user that may not write below the prefix.
    "APT::Sandbox::User=root",
    // A release that cannot be fetched is an error, not a warning.
    "APT::Update::Error-Mode=any",
  ];
  return { home, args: settings.flatMap((setting) => ["-o", setting]) };
}

async function update(
  apt: PrivateApt,
  suite: string,
  debian: Debian,
  options: ProvisionOptions,
): Promise<void> {
  options.onProgress?.({ phase: "index", message: `reading the package index of Debian ${suite}` });
  const { code, lines } = await runCommand("apt-get", [...apt.args, "update"], {
    env: { ...process.env, LC_ALL: "C" },
    signal: options.signal,
  });
  if (code !== 0) throw downloadError(lines, suite, debian);
  await writeWhole(join(apt.home, "updated"), "");
}

/** Tells a package that has gone from an archive that cannot be reached. */
function downloadError(lines: readonly string[], suite: string, debian: Debian): Error {
  const problems = lines.filter((line) => /^[EW]:/.test(line));
  const gone =
    /^E: (?:Unable to locate package (\S+)|.*Release '[^']*' for '([^']*)' was not found|Can't select .* from package (\S+))/;
  for (const line of problems) {
    const match = gone.exec(line);
    if (match !== null) {
      const name = match[1] ?? match[2] ?? match[3] ?? "";
      return setupError(
        `the package ${name} is not in Debian ${suite}`,
        "Debian has dropped or renamed it; a later release of Kiln may know the new name.",
      );
    }
  }
  if (problems.some((line) => /does not have a Release file|404\s+Not Found.*Release/.test(line))) {
    return setupError(
      `${debian.mirror} has no Debian ${suite}`,
      "Point the machine's apt sources at a mirror that carries all releases.",
    );
  }
  return setupError(
    `cannot fetch packages of Debian ${suite} from ${debian.mirror}: ${lastLine(problems.length > 0 ? problems : lines)}`,
    "Check the network and the machine's apt sources (`apt-get update` should work), then try again.",
  );
}

function lastLine(lines: readonly string[]): string {
  return lines.at(-1) ?? "no output";
}
