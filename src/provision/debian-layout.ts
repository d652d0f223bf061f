import { createReadStream } from "node:fs";
import { mkdir, readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { createGunzip } from "node:zlib";
import { architectureOf, baseEpoch, layoutOnce, systemPath } from "./base-layout.js";
import { findDebian, requireRoot } from "./debian.js";
import { thisMachine } from "./machine.js";
import { PACKAGE_SETS } from "./package-sets.js";
import { ensurePackages, type ProvisionOptions } from "./packages.js";
import { blobPath, readLayout } from "./read-layout.js";
import { runCommand } from "./run-command.js";
import { setupError } from "./setup-error.js";
import { tarDifference } from "./tar-difference.js";
import { writeLayout } from "./write-layout.js";

/** The release of Debian that base images are of, whatever the machine's own is. */
const suite = "bookworm";

/** What Docker's official images of Debian have changed in their apt and dpkg. */
const imageSettings: Readonly<Record<string, string>> = {
  "/etc/apt/apt.conf.d/docker-clean": [
    ...["DPkg", "APT::Update"].map(
      (when) =>
        `${when}::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb ` +
        `/var/cache/apt/*.bin || true"; };\n`,
    ),
    'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n',
  ].join(""),
  "/etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
  "/etc/dpkg/dpkg.cfg.d/docker":
    "force-unsafe-io\npath-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n" +
    "path-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n",
};

const debianArguments = [
  "--variant=minbase",
  "--include=ca-certificates",
  '--customize-hook=rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*',
  ...Object.entries(imageSettings).map(
    ([path, text]) => `--customize-hook=printf %s '${text}' > "$1${path}"`,
  ),
  // With docker-clean, apt knows of no such files, and so does not clean them away.
  '--customize-hook=rm -f "$1"/var/cache/apt/*.bin',
];

/** pip and setuptools come from their wheels, as in the official image: Debian's own cannot be upgraded. */
const installPip =
  "cd /usr/share/python-wheels && PYTHONPATH=$(echo pip-*.whl) python3 -m pip install --isolated --no-index --no-cache-dir " +
  "--disable-pip-version-check --root-user-action=ignore pip-*.whl setuptools-*.whl";

const pythonArguments = [
  "--variant=custom",
  // Inside the root, always: apt that is not told where it works changes the machine.
  '--customize-hook=chroot "$1" apt-get install --yes --no-install-recommends python3 python3-distutils python3-venv',
  '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
  `--customize-hook=chroot "$1" env -i PATH=${systemPath} SOURCE_DATE_EPOCH=${baseEpoch} sh -ec '${installPip}'`,
  '--customize-hook=for name in python python3; do ln -s /usr/bin/python3 "$1/usr/local/bin/$name"; done',
];

/**
 * A Debian base image as an OCI layout, made by mmdebstrap from the machine's own mirror: what the official
 * `debian:bookworm-slim` is, with certificates, without a registry. Tag `latest`; about 15 seconds, once a prefix.
 *
 * Rejects with `ERR_KILN_ENGINE_SETUP` where mmdebstrap cannot run or fails.
 */
export function debianLayout(options: ProvisionOptions): Promise<string> {
  return layoutOnce("debian", debianArguments, options, async (dir) => {
    await withTar(dir, async (tar) => {
      await mmdebstrap(debianArguments, tar, "a Debian base image", options);
      await writeLayout(dir, {
        tar: createReadStream(tar),
        architecture: architectureOf(options.machine ?? thisMachine()),
        config: { Env: [`PATH=${systemPath}`], Cmd: ["bash"] },
        createdBy: `mmdebstrap --variant=minbase ${suite}`,
        tag: "latest",
      });
    });
  });
}

/**
 * A Python base image as an OCI layout: a layer with Debian's Python and a pip that can be upgraded upon
 * {@link debianLayout}, as the official `python:slim-bookworm` has them. Tag `latest`; about 10 seconds more, once
 * a prefix.
 *
 * Rejects with `ERR_KILN_ENGINE_SETUP` where mmdebstrap cannot run or fails.
 */
export async function pythonLayout(options: ProvisionOptions): Promise<string> {
  const base = await debianLayout(options);
  return layoutOnce("python", [base, pythonArguments], options, async (dir) => {
    const { manifest } = await readLayout(base);
    const [layer] = manifest.layers.map(({ digest }) => blobPath(base, digest));
    if (layer === undefined) throw new Error(`the image in ${base} has no layer`);
    await withTar(dir, async (tar) => {
      const unpack = `--setup-hook=tar -C "$1" -xzf '${layer}' --exclude='./dev/*'`;
      await mmdebstrap([unpack, ...pythonArguments], tar, "a Python base image", options);
      await writeLayout(dir, {
        base,
        tar: await tarDifference(createReadStream(layer).pipe(createGunzip()), createReadStream(tar)),
        architecture: architectureOf(options.machine ?? thisMachine()),
        config: { Env: [`PATH=/usr/local/bin:${systemPath}`, "LANG=C.UTF-8"], Cmd: ["python3"] },
        createdBy: "apt-get install python3 python3-venv; pip install pip setuptools",
        tag: "latest",
      });
    });
  });
}

async function withTar(dir: string, use: (tar: string) => Promise<void>): Promise<void> {
  const tar = `${dir}.tar`;
  await mkdir(join(dir, ".."), { recursive: true });
  try {
    await use(tar);
  } finally {
    await rm(tar, { force: true });
  }
}

async function mmdebstrap(
  args: readonly string[],
  tar: string,
  what: string,
  options: ProvisionOptions,
): Promise<void> {
  const machine = options.machine ?? thisMachine();
  requireRoot(machine);
  const debian = await findDebian(machine);
  const { root } = await ensurePackages(PACKAGE_SETS.mmdebstrap, options);
  options.onProgress?.({ phase: "image", message: `making ${what}` });
  const memory = await roomInMemory();
  const { code, lines } = await runCommand(
    "perl",
    [join(root, "usr", "bin", "mmdebstrap"), ...args, suite, tar, debian.mirror],
    {
      signal: options.signal,
      env: {
        ...process.env,
        SOURCE_DATE_EPOCH: String(baseEpoch),
        LC_ALL: "C",
        ...(memory === undefined ? {} : { TMPDIR: memory }),
      },
      onLine: (line) => {
        if (!line.startsWith("I: ")) return;
        options.onProgress?.({ phase: "image", message: `${what}: ${line.slice(3)}` });
      },
    },
  );
  if (code === 0) return;
  throw setupError(
    `mmdebstrap failed: ${lines.find((line) => line.startsWith("E: ")) ?? lines.at(-1) ?? "no output"}`,
    "Check the network and the machine's apt sources, then try again.",
  );
}

/** dpkg waits for the disk at every file; where there is memory for a root it takes half the time. */
async function roomInMemory(): Promise<string | undefined> {
  const path = "/dev/shm";
  const mounts = await readFile("/proc/mounts", "utf8").catch(() => "");
  const options = mounts
    .split("\n")
    .findLast((line) => line.split(" ")[1] === path)
    ?.split(" ");
  if (options?.[2] !== "tmpfs" || /\b(?:noexec|nodev)\b/.test(options[3] ?? "")) return undefined;
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize > 2 ** 30 ? path : undefined;
}
