import { createHash } from "node:crypto";
import { reply, type StepServer, type StepServerOptions, serveSteps } from "./step-server.js";
import { indexName, makeWheel, type PythonPackage, type Wheel } from "./wheel.js";

/** A Python package index that a test serves. */
export interface PackageIndex extends StepServer {
  /** For `--index-url` and `--extra-index-url`. */
  readonly indexUrl: string;
  /** For `--find-links`: one page with all files. */
  readonly linksUrl: string;
}

const json = "application/vnd.pypi.simple.v1+json";
const html = "text/html; charset=utf-8";

/**
 * Serves packages as pip and uv ask for them: the simple index in HTML (PEP 503) and JSON (PEP 691) with hashes and
 * metadata (PEP 658), and a flat page of links. Packages are wheels made here; a name may come in many versions.
 */
export async function startPackageIndex(
  packages: readonly PythonPackage[],
  options: StepServerOptions = {},
): Promise<PackageIndex> {
  const projects = new Map<string, Map<string, File>>();
  for (const spec of packages) {
    const wheel = makeWheel(spec);
    const files = projects.get(indexName(spec.name)) ?? new Map<string, File>();
    projects.set(indexName(spec.name), files.set(wheel.fileName, { wheel, spec }));
  }
  const all = new Map([...projects.values()].flatMap((files) => [...files]));
  const server = await serveSteps(options, (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname);
    const wantsJson = request.headers.accept?.includes(json) === true;
    const [top, name = "", ...rest] = path.slice(1).split("/");
    if (top === "files" && rest.length === 0) {
      const file = all.get(name.replace(/\.metadata$/, ""));
      if (file !== undefined) {
        const content = name.endsWith(".metadata") ? file.wheel.metadata : file.wheel.bytes;
        reply(request, response, "application/octet-stream", content);
        return;
      }
    } else if (top === "links") {
      reply(request, response, html, page([...all.values()].map((file) => anchor(file, "../files"))));
      return;
    } else if (top === "simple" && name === "") {
      const names = [...projects.keys()];
      if (wantsJson)
        reply(
          request,
          response,
          json,
          JSON.stringify({ meta, projects: names.map((one) => ({ name: one })) }),
        );
      else reply(request, response, html, page(names.map((one) => `<a href="${one}/">${one}</a>`)));
      return;
    } else if (top === "simple" && (name !== indexName(name) || rest.length !== 1)) {
      response.writeHead(301, { location: `/simple/${indexName(name)}/` }).end();
      return;
    } else if (top === "simple") {
      const files = projects.get(name);
      if (files !== undefined) {
        const listed = [...files.values()];
        if (wantsJson)
          reply(request, response, json, JSON.stringify({ meta, name, files: listed.map(entry) }));
        else reply(request, response, html, page(listed.map((file) => anchor(file, "../../files"))));
        return;
      }
    }
    response.writeHead(404).end();
  });
  return { ...server, indexUrl: `${server.url}/simple/`, linksUrl: `${server.url}/links/` };
}

interface File {
  readonly wheel: Wheel;
  readonly spec: PythonPackage;
}

const meta = { "api-version": "1.0" };

function entry({ wheel, spec }: File): object {
  const { fileName, bytes, metadata } = wheel;
  const { requiresPython } = spec;
  return {
    filename: fileName,
    url: `../../files/${fileName}`,
    hashes: { sha256: sha256(bytes) },
    "core-metadata": { sha256: sha256(metadata) },
    ...(requiresPython === undefined ? {} : { "requires-python": requiresPython }),
  };
}

function anchor({ wheel, spec }: File, folder: string): string {
  const { fileName, bytes, metadata } = wheel;
  const python =
    spec.requiresPython === undefined ? "" : ` data-requires-python="${escapeHtml(spec.requiresPython)}"`;
  const core = ` data-core-metadata="sha256=${sha256(metadata)}"`;
  return `<a href="${folder}/${fileName}#sha256=${sha256(bytes)}"${python}${core}>${fileName}</a>`;
}

function page(anchors: readonly string[]): string {
  return `<!DOCTYPE html>\n<html><head><title>index</title></head><body>\n${anchors.join("<br>\n")}\n</body></html>\n`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

function sha256(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
