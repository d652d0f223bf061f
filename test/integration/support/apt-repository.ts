import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { reply, type StepServer, type StepServerOptions, serveSteps } from "./step-server.js";

/** A Debian package that a test makes up: for all processors, with nothing to configure. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** `Depends`, e.g. `libc6`. */
  readonly depends?: string | undefined;
  /** Texts by path, e.g. `usr/bin/tool`. What is in a `bin` can be run. */
  readonly files: Readonly<Record<string, string>>;
}

/** An apt repository that a test serves. */
export interface AptRepository extends StepServer {
  /** Its line for `sources.list`. It is not signed, and trusted by this line. */
  readonly source: string;
}

/** Serves packages as a flat apt repository. */
export async function startAptRepository(
  packages: readonly DebianPackage[],
  options: StepServerOptions = {},
): Promise<AptRepository> {
  const files = new Map<string, Buffer>();
  const stanzas: string[] = [];
  for (const spec of packages) {
    const { control, bytes } = await makeDeb(spec);
    const path = `${spec.name}_${spec.version}_all.deb`;
    files.set(`/${path}`, bytes);
    stanzas.push(`${control}Filename: ./${path}\nSize: ${bytes.length}\nSHA256: ${sha256(bytes)}\n`);
  }
  const listing = Buffer.from(stanzas.join("\n"));
  files.set("/Packages", listing);
  const release = `Suite: kiln\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n ${sha256(listing)} ${listing.length} Packages\n`;
  files.set("/Release", Buffer.from(release));
  const server = await serveSteps(options, (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://x");
    const file = files.get(pathname.replace("/./", "/"));
    if (file === undefined) response.writeHead(404).end();
    else reply(request, response, "application/octet-stream", file);
  });
  return { ...server, source: `deb [trusted=yes] ${server.url}/ ./` };
}

async function makeDeb(spec: DebianPackage): Promise<{ readonly control: string; readonly bytes: Buffer }> {
  const { name, version, depends, files } = spec;
  const fields = {
    Package: name,
    Version: version,
    Architecture: "all",
    Maintainer: "Kiln <kiln@example.com>",
    ...(depends === undefined ? {} : { Depends: depends }),
    Description: "made up",
  };
  const control = Object.entries(fields)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join("");
  const members: [string, Buffer][] = [
    ["debian-binary", Buffer.from("2.0\n")],
    ["control.tar.gz", await tarball({ control })],
    ["data.tar.gz", await tarball(files)],
  ];
  return { control, bytes: Buffer.concat([Buffer.from("!<arch>\n"), ...members.flatMap(arMember)]) };
}

/** A member of an ar archive, whose even length a newline makes up. */
function arMember([name, content]: [string, Buffer]): Buffer[] {
  const fields: [string, number][] = [
    ...([
      [name, 16],
      ["0", 12],
      ["0", 6],
      ["0", 6],
      ["100644", 8],
    ] as [string, number][]),
    [String(content.length), 10],
  ];
  const head = fields.map(([text, width]) => text.padEnd(width)).join("");
  return [Buffer.from(`${head}\`\n`), content, Buffer.from(content.length % 2 === 0 ? "" : "\n")];
}

async function tarball(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const tar = pack();
  const mtime = new Date(0);
  const folders = new Set<string>();
  for (const [path, text] of Object.entries(files)) {
    const parts = path.split("/").slice(0, -1);
    for (const [index] of parts.entries()) {
      const folder = `./${parts.slice(0, index + 1).join("/")}/`;
      if (!folders.has(folder)) tar.entry({ name: folder, type: "directory", mode: 0o755, mtime });
      folders.add(folder);
    }
    tar.entry({ name: `./${path}`, mode: parts.at(-1) === "bin" ? 0o755 : 0o644, mtime }, text);
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}

function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
