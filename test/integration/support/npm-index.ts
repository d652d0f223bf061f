import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { reply, type StepServer, type StepServerOptions, serveSteps } from "./step-server.js";

/** An npm package that a test makes up. */
export interface NpmPackage {
  /** May have a scope, `@scope/name`. */
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>> | undefined;
  /** Commands and the files that they run. */
  readonly bin?: Readonly<Record<string, string>> | undefined;
  /** More of `package.json`, e.g. `scripts`. */
  readonly manifest?: Readonly<Record<string, unknown>> | undefined;
  /** Files by path. Default an `index.js` that exports the version. */
  readonly files?: Readonly<Record<string, string>> | undefined;
}

/**
 * Serves packages as npm and its kin ask for them: documents of all versions, of which `latest` is the last given,
 * and tarballs with their sha512. Its `url` goes for `--registry`.
 */
export async function startNpmIndex(
  packages: readonly NpmPackage[],
  options: StepServerOptions = {},
): Promise<StepServer> {
  const made = await Promise.all(packages.map(async (spec) => ({ spec, tarball: await makeTarball(spec) })));
  return serveSteps(options, (request, response, url) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname).slice(1);
    const versions = made.filter(({ spec }) => spec.name === path);
    const file = made.find(({ spec }) => tarballPath(spec) === path);
    if (request.method === "POST") response.writeHead(404).end();
    else if (file !== undefined) reply(request, response, "application/octet-stream", file.tarball);
    else if (versions.length > 0)
      reply(request, response, "application/json", JSON.stringify(documentOf(path, versions, url)));
    else response.writeHead(404, { "content-type": "application/json" }).end('{"error":"not found"}');
  });
}

interface Made {
  readonly spec: NpmPackage;
  readonly tarball: Buffer;
}

function documentOf(name: string, versions: readonly Made[], url: string): object {
  return {
    name,
    "dist-tags": { latest: versions.at(-1)?.spec.version },
    versions: Object.fromEntries(
      versions.map(({ spec, tarball }) => [
        spec.version,
        {
          ...manifestOf(spec),
          dist: {
            tarball: `${url}/${tarballPath(spec)}`,
            integrity: `sha512-${createHash("sha512").update(tarball).digest("base64")}`,
            shasum: createHash("sha1").update(tarball).digest("hex"),
          },
        },
      ]),
    ),
  };
}

function manifestOf({ name, version, dependencies, bin, manifest }: NpmPackage): object {
  return {
    name,
    version,
    main: "index.js",
    ...(dependencies === undefined ? {} : { dependencies }),
    ...(bin === undefined ? {} : { bin }),
    ...manifest,
  };
}

function tarballPath({ name, version }: NpmPackage): string {
  return `${name}/-/${name.replace(/^@[^/]+\//, "")}-${version}.tgz`;
}

async function makeTarball(spec: NpmPackage): Promise<Buffer> {
  const files = {
    "package.json": `${JSON.stringify(manifestOf(spec), undefined, 2)}\n`,
    ...(spec.files ?? { "index.js": `module.exports = ${JSON.stringify(spec.version)};\n` }),
  };
  const commands = new Set(Object.values(spec.bin ?? {}).map((path) => path.replace(/^\.\//, "")));
  const tar = pack();
  for (const [path, text] of Object.entries(files)) {
    const mode = commands.has(path) ? 0o755 : 0o644;
    tar.entry({ name: `package/${path}`, mode, mtime: new Date(499_162_500_000) }, text);
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}
