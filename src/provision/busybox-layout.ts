import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pack } from "tar-stream";
import { architectureOf, baseEpoch, layoutOnce, systemPath } from "./base-layout.js";
import { thisMachine } from "./machine.js";
import { PACKAGE_SETS } from "./package-sets.js";
import { ensurePackages, type ProvisionOptions } from "./packages.js";
import { runCommand } from "./run-command.js";
import { setupError } from "./setup-error.js";
import { writeLayout } from "./write-layout.js";

/**
 * A tiny base image as an OCI layout: Debian's static busybox and its applets. Tag `latest`.
 *
 * Returns the layout's directory; it is made once a prefix.
 */
export function busyboxLayout(options: ProvisionOptions): Promise<string> {
  return layoutOnce("busybox", 1, options, async (dir) => {
    const { root } = await ensurePackages(PACKAGE_SETS.machine, options);
    const program = await readFirst([join(root, "bin", "busybox"), join(root, "usr", "bin", "busybox")]);
    options.onProgress?.({ phase: "image", message: "making a base image of busybox" });
    const { lines } = await runCommand(program.path, ["--list"], {
      signal: options.signal,
      onLine: program.addApplet,
    });
    if (lines.length === 0) throw setupError("busybox lists no applets", "Try again with another prefix.");
    await writeLayout(dir, {
      tar: busyboxTar(program.bytes, program.applets),
      architecture: architectureOf(options.machine ?? thisMachine()),
      config: { Env: [`PATH=${systemPath}`], Cmd: ["sh"] },
      createdBy: "busybox-static of Debian",
      tag: "latest",
    });
  });
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
  const mtime = new Date(baseEpoch * 1000);
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
