import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { extract, type Header, type Pack, pack } from "tar-stream";
import { architectureOf, baseEpoch, layoutOnce, systemPath } from "./base-layout.js";
import { debianLayout } from "./debian-layout.js";
import { type Machine, thisMachine } from "./machine.js";
import type { ProvisionOptions } from "./packages.js";
import { runCommand } from "./run-command.js";
import { setupError } from "./setup-error.js";
import { writeLayout } from "./write-layout.js";

/** Node's official build and the npm that came with it. */
const versions = { node: "22.12.0", npm: "10.9.0" } as const;

/** Starts node for arguments that are none of a program, as the official image's does. */
const entrypoint =
  '#!/bin/sh\nset -e\ncase "$1" in -*) set -- node "$@" ;; esac\n' +
  'command -v -- "$1" >/dev/null || set -- node "$@"\nexec "$@"\n';

/**
 * A Node base image as an OCI layout: a layer with Node's official build and its npm, which come from the npm
 * registry, upon {@link debianLayout}; laid out as the official `node:bookworm-slim`. Tag `latest`; about 10 seconds
 * more, once a prefix.
 *
 * Rejects with `ERR_KILN_ENGINE_SETUP` where npm cannot fetch them.
 */
export async function nodeLayout(options: ProvisionOptions): Promise<string> {
  const base = await debianLayout(options);
  const machine = options.machine ?? thisMachine();
  return layoutOnce("node", [base, versions, entrypoint], options, async (dir) => {
    await mkdir(join(dir, ".."), { recursive: true });
    const scratch = await mkdtemp(`${dir}.`);
    try {
      options.onProgress?.({ phase: "image", message: "making a Node base image" });
      const node = await fetchPackage(nodePackage(machine), versions.node, scratch, options);
      const npm = await fetchPackage("npm", versions.npm, scratch, options);
      await writeLayout(dir, {
        base,
        tar: nodeTar(node, npm),
        architecture: architectureOf(machine),
        config: {
          Env: [`PATH=${systemPath}`, `NODE_VERSION=${versions.node}`],
          Entrypoint: ["docker-entrypoint.sh"],
          Cmd: ["node"],
        },
        createdBy: `node ${versions.node} and npm ${versions.npm} of the npm registry`,
        tag: "latest",
      });
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}

function nodePackage({ arch }: Machine): string {
  if (arch === "x64" || arch === "arm64") return `node-linux-${arch}`;
  throw setupError(`the npm registry has no Node for ${arch}`, "Use a machine of x64 or arm64.");
}

async function fetchPackage(
  name: string,
  version: string,
  into: string,
  options: ProvisionOptions,
): Promise<string> {
  const wanted = `${name}@${version}`;
  options.onProgress?.({ phase: "download", message: `downloading ${wanted}` });
  const args = ["pack", wanted, "--pack-destination", into, "--silent"];
  const { code, lines } = await runCommand("npm", args, { signal: options.signal, cwd: into });
  if (code === 0) return join(into, `${name}-${version}.tgz`);
  throw setupError(
    `npm cannot fetch ${wanted}: ${lines.at(-1) ?? "no output"}`,
    "Check that npm and its registry can be reached, then try again.",
  );
}

function nodeTar(node: string, npm: string): Readable {
  const layer = pack();
  writeTar(layer, node, npm).catch((error: unknown) =>
    layer.destroy(error instanceof Error ? error : undefined),
  );
  return Readable.from(layer);
}

async function writeTar(layer: Pack, node: string, npm: string): Promise<void> {
  const modules = "usr/local/lib/node_modules";
  await put(layer, { name: "usr/local/lib/node_modules", type: "directory", mode: 0o755 });
  await copyFiles(layer, npm, (path) => `${modules}/npm/${path}`);
  await copyFiles(layer, node, (path) => (path === "bin/node" ? "usr/local/bin/node" : undefined));
  for (const [name, linkname] of [
    ["nodejs", "node"],
    ["npm", "../lib/node_modules/npm/bin/npm-cli.js"],
    ["npx", "../lib/node_modules/npm/bin/npx-cli.js"],
  ] as const) {
    await put(layer, { name: `usr/local/bin/${name}`, type: "symlink", linkname });
  }
  const script = Buffer.from(entrypoint);
  await put(layer, { name: "usr/local/bin/docker-entrypoint.sh", mode: 0o755 }, script);
  layer.finalize();
}

/** Copies the files of a package, without their folder `package/`, to where `place` says. */
async function copyFiles(
  layer: Pack,
  tarball: string,
  place: (path: string) => string | undefined,
): Promise<void> {
  const reader = extract();
  const fail = (error: Error): void => reader.destroy(error);
  createReadStream(tarball).once("error", fail).pipe(createGunzip()).once("error", fail).pipe(reader);
  for await (const entry of reader) {
    const { name, type, mode = 0o644 } = entry.header;
    const target = type === "file" ? place(name.replace(/^[^/]*\//, "")) : undefined;
    const chunks: Buffer[] = [];
    for await (const chunk of entry) if (target !== undefined) chunks.push(chunk as Buffer);
    if (target !== undefined) await put(layer, { name: target, mode }, Buffer.concat(chunks));
  }
}

type Entry = Pick<Header, "name"> & Partial<Pick<Header, "type" | "mode" | "linkname">>;

function put(layer: Pack, entry: Entry, content?: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const header = { ...entry, mtime: new Date(baseEpoch * 1000) };
    const done = (error?: Error | null): void => (error == null ? resolve() : reject(error));
    if (content === undefined) layer.entry(header, done);
    else layer.entry({ ...header, size: content.length }, content, done);
  });
}
