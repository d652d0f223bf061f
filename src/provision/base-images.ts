import { createReadStream } from "node:fs";
import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pack } from "tar-stream";
import { findDebian, requireRoot } from "./debian.js";
import { withLock } from "./lock.js";
import { type Machine, thisMachine } from "./machine.js";
import { PACKAGE_SETS } from "./package-sets.js";
import { ensurePackages, type ProvisionOptions, tellWait } from "./packages.js";
import { runCommand } from "./run-command.js";
import { setupError } from "./setup-error.js";
import { writeSingleLayerLayout } from "./write-layout.js";

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Seconds since 1970 that files of base images are clamped to, so that they come out alike. */
const epoch = 315_532_802;

/**
 * A tiny base image as an OCI layout: Debian's static busybox and its applets. Tag `latest`.
 *
 * Returns the layout's directory; it is made once a prefix.
 */
export function busyboxLayout(options: ProvisionOptions): Promise<string> {
  return layoutOnce("busybox", options, async (dir) => {
    const { root } = await ensurePackages(PACKAGE_SETS.machine, options);
    const program = await readFirst([join(root, "bin", "busybox"), join(root, "usr", "bin", "busybox")]);
    options.onProgress?.({ phase: "image", message: "making a base image of busybox" });
    const { lines } = await runCommand(program.path, ["--list"], {
      signal: options.signal,
      onLine: program.addApplet,
    });
    if (lines.length === 0) throw setupError("busybox lists no applets", "Try again with another prefix.");
    await writeSingleLayerLayout(dir, {
      tar: busyboxTar(program.bytes, program.applets),
      architecture: architecture(options.machine ?? thisMachine()),
      config: { Env: [path], Cmd: ["sh"] },
      createdBy: "busybox-static of Debian",
      tag: "latest",
    });
  });
}

/**
 * A Debian base image with Python as an OCI layout, made by mmdebstrap from the machine's own mirror: what the
 * official `python` image is, without a registry. Tag `latest`; takes about half a minute, once a prefix.
 */
export function debianLayout(options: ProvisionOptions): Promise<string> {
  return layoutOnce("debian", options, async (dir) => {
    const machine = options.machine ?? thisMachine();
    requireRoot(machine);
    const debian = await findDebian(machine);
    const { root } = await ensurePackages(PACKAGE_SETS.mmdebstrap, options);
    const tar = `${dir}.tar`;
    const say = (message: string): void => options.onProgress?.({ phase: "image", message });
    say("making a Debian base image (about half a minute)");
    await mkdir(join(options.prefix, "images"), { recursive: true });
    try {
      const { code, lines } = await runCommand(
        "perl",
        [
          join(root, "usr", "bin", "mmdebstrap"),
          "--variant=minbase",
          "--include=python3,python3-pip,ca-certificates",
          '--customize-hook=ln -sf python3 "$1/usr/bin/python"',
          '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
          "bookworm",
          tar,
          debian.mirror,
        ],
        {
          signal: options.signal,
          env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch), LC_ALL: "C" },
          onLine: (line) => {
            if (line.startsWith("I: ")) say(`Debian base: ${line.slice(3)}`);
          },
        },
      );
      if (code !== 0) {
        throw setupError(
          `mmdebstrap failed: ${lines.at(-1) ?? "no output"}`,
          "Check the network and the machine's apt sources, then try again.",
        );
      }
      say("compressing the Debian base image");
      await writeSingleLayerLayout(dir, {
        tar: createReadStream(tar),
        architecture: architecture(machine),
        config: { Env: [path, "LANG=C.UTF-8"], Cmd: ["python3"] },
        createdBy: "mmdebstrap --variant=minbase bookworm",
        tag: "latest",
      });
    } finally {
      await rm(tar, { force: true });
    }
  });
}

async function layoutOnce(
  name: string,
  options: ProvisionOptions,
  make: (dir: string) => Promise<void>,
): Promise<string> {
  const dir = join(options.prefix, "images", name);
  const isThere = (): Promise<boolean> =>
    stat(join(dir, "index.json")).then(
      () => true,
      () => false,
    );
  if (await isThere()) return dir;
  await withLock(
    `image ${dir}`,
    async () => {
      if (!(await isThere())) await make(dir);
    },
    { signal: options.signal, onWait: () => tellWait(options, `the ${name} image`) },
  );
  return dir;
}

interface Program {
  readonly path: string;
  readonly bytes: Buffer;
  readonly applets: string[];
  readonly addApplet: (line: string) => void;
}

async function readFirst(paths: readonly string[]): Promise<Program> {
  for (const candidate of paths) {
    const bytes = await readFile(candidate).catch(() => undefined);
    if (bytes === undefined) continue;
    const applets: string[] = [];
    return { path: candidate, bytes, applets, addApplet: (line) => applets.push(line.trim()) };
  }
  throw setupError(
    "Debian's busybox-static holds no busybox",
    "A later release of Kiln may know where it is.",
  );
}

function busyboxTar(program: Buffer, applets: readonly string[]): Readable {
  const tar = pack();
  const mtime = new Date(epoch * 1000);
  for (const name of ["bin", "dev", "etc", "proc", "root", "sys", "usr", "usr/bin", "var"]) {
    tar.entry({ name, type: "directory", mode: name === "root" ? 0o700 : 0o755, mtime });
  }
  tar.entry({ name: "tmp", type: "directory", mode: 0o1777, mtime });
  tar.entry({ name: "bin/busybox", mode: 0o755, mtime }, program);
  for (const applet of applets.filter((name) => name !== "busybox" && name !== "").sort()) {
    tar.entry({ name: `bin/${applet}`, type: "symlink", linkname: "busybox", mtime });
  }
  tar.entry(
    { name: "etc/passwd", mode: 0o644, mtime },
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  );
  tar.entry({ name: "etc/group", mode: 0o644, mtime }, "root:x:0:\nnogroup:x:65534:\n");
  tar.finalize();
  return Readable.from(tar);
}

function architecture(machine: Machine): string {
  return { x64: "amd64", ia32: "386" }[machine.arch] ?? machine.arch;
}
