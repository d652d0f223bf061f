import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  type BuildEvent,
  type BuildOptions,
  type BuildResult,
  type ConnectOptions,
  Engine,
  type Image,
} from "../../../src/index.js";
import { sha256 } from "../../../src/oci/digest.js";
import { registry } from "./engines.js";

/** A text that no other test has. */
export function fresh(): string {
  return Math.random().toString(36).slice(2, 12);
}

/** Repository and digest of an image of the test registry. */
export async function pinned(repository: string, tag: string): Promise<string> {
  const accept = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"];
  const answer = await fetch(`http://${registry()}/v2/${repository}/manifests/${tag}`, {
    headers: { accept: accept.join(", ") },
  });
  if (!answer.ok) throw new Error(`no ${repository}:${tag} in the test registry: ${answer.status}`);
  return `${registry()}/${repository}@${sha256(Buffer.from(await answer.arrayBuffer()))}`;
}

/** What a build did. */
export interface SeenBuild extends BuildResult {
  /** Ops that the daemon told of. */
  readonly vertices: number;
  /** What it said of where it was. */
  readonly phases: readonly string[];
}

/** A directory for projects, outputs and a cache of a test file's own, and builds that know no other. */
export class Workbench {
  readonly dir: string = mkdtempSync(join(tmpdir(), "kiln-rebuild-"));
  readonly #address: string;

  constructor(address: string) {
    this.#address = address;
  }

  /** A new path in the directory. */
  place(name = "place"): string {
    return join(this.dir, `${name}-${fresh()}`);
  }

  /** Writes files by path into a new directory. */
  project(files: Readonly<Record<string, string>>): string {
    const dir = this.place("project");
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), text);
    }
    return dir;
  }

  /** The environment of builds: the process's, with the file's own cache and data. */
  env(more: Readonly<Record<string, string | undefined>> = {}): Record<string, string | undefined> {
    const [cache, data] = [join(this.dir, "cache"), join(this.dir, "data")];
    return { ...process.env, KILN_CACHE_DIR: cache, KILN_DATA_DIR: data, ...more };
  }

  /** Builds with an engine of its own, as another process would. */
  async build(
    image: Image,
    options: BuildOptions,
    { env, host = this.#address, ...connect }: ConnectOptions = {},
  ): Promise<SeenBuild> {
    await using engine = await Engine.connect({ host, env: this.env(env), ...connect });
    const build = engine.build(image, options);
    const seen = new Set<string>();
    const phases: string[] = [];
    for await (const event of build) {
      if (isVertex(event)) seen.add(event.vertex);
      if (event.type === "phase") phases.push(event.message);
    }
    return { ...(await build.result), vertices: seen.size, phases };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function isVertex(event: BuildEvent): event is BuildEvent & { readonly vertex: string } {
  return "vertex" in event && typeof event.vertex === "string";
}

/** The text of a file, without the line's end. */
export function textOf(...path: readonly string[]): string {
  return readFileSync(join(...path), "utf8").trim();
}
