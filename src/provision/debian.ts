import { readAptSources } from "./apt-sources.js";
import type { Machine } from "./machine.js";
import { setupError } from "./setup-error.js";

/** Where this machine's Debian comes from. */
export interface Debian {
  /** The address of the archive that the machine itself uses. */
  readonly mirror: string;
  /** The machine's own release, for example `bookworm`. */
  readonly suite: string;
  /** The file with Debian's signing keys. */
  readonly keyring: string;
}

const KEYRINGS = [
  "/usr/share/keyrings/debian-archive-keyring.gpg",
  "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/**
 * Checks that packages can be fetched here, and says from where.
 *
 * Throws `ERR_KILN_ENGINE_SETUP` with what is missing: Linux, apt-get and dpkg, Debian, its archive in the
 * machine's apt sources, its keyring.
 */
export async function findDebian(machine: Machine): Promise<Debian> {
  requireLinux(machine);
  for (const tool of ["apt-get", "dpkg"]) {
    if ((await machine.findCommand(tool)) === undefined) {
      throw setupError(
        `${tool} is not on this machine`,
        "Kiln takes its own engine from Debian's packages, so it needs Debian.",
      );
    }
  }
  const release = await readRelease(machine);
  if (release.id !== "debian") {
    throw setupError(
      `this is ${release.id === "" ? "an unknown distribution" : release.id}, not Debian`,
      "Kiln takes its own engine from Debian's packages, so it needs Debian.",
    );
  }
  const sources = (await readAptSources(machine)).filter(({ components }) => components.includes("main"));
  // Testing and unstable name no release of theirs; their sources do.
  const suite = release.codename ?? sources[0]?.suites[0] ?? "";
  const own = sources.find(
    ({ suites }) => suites.includes(suite) || suites.includes(ALIASES.get(suite) ?? ""),
  );
  const mirror = own?.uri ?? sources.find(({ suites }) => suites.every((name) => !name.includes("-")))?.uri;
  if (mirror === undefined || suite === "") {
    throw setupError(
      "no Debian archive is among the machine's apt sources",
      "Add Debian's main archive to /etc/apt/sources.list.d and try again.",
    );
  }
  const names = await machine.list("/usr/share/keyrings");
  const keyring = KEYRINGS.find((path) => names.includes(path.slice(path.lastIndexOf("/") + 1)));
  if (keyring === undefined) {
    throw setupError(
      "Debian's signing keys are not on this machine",
      "Install them with `apt-get install debian-archive-keyring` and try again.",
    );
  }
  return { mirror: mirror.replace(/\/+$/, ""), suite, keyring };
}

/** Throws `ERR_KILN_ENGINE_SETUP` on anything but Linux. */
export function requireLinux(machine: Machine): void {
  if (machine.platform === "linux") return;
  throw setupError(`BuildKit needs Linux, and this is ${machine.platform}`, "Use a Linux machine.");
}

/** Throws `ERR_KILN_ENGINE_SETUP` where the process may not start a container daemon. */
export function requireRoot(machine: Machine): void {
  if (machine.uid === 0) return;
  throw setupError(
    "starting an engine needs root, and this process has none",
    "Run the same command with sudo.",
  );
}

// Sources may name a release by its rank. Only the one that has no release number of its own matters here.
const ALIASES: ReadonlyMap<string, string> = new Map([["sid", "unstable"]]);

async function readRelease(
  machine: Machine,
): Promise<{ readonly id: string; readonly codename: string | undefined }> {
  const fields = new Map<string, string>();
  for (const line of ((await machine.readText("/etc/os-release")) ?? "").split("\n")) {
    const match = /^([A-Z_]+)=(.*)$/.exec(line.trim());
    if (match !== null) fields.set(match[1] ?? "", (match[2] ?? "").replace(/^(["'])(.*)\1$/, "$2"));
  }
  const codename = fields.get("VERSION_CODENAME");
  return { id: fields.get("ID") ?? "", codename: codename === "" ? undefined : codename };
}
