import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { needsOf } from "../../../src/image/needs-of.js";
import { type BuildOptions, type BuildResult, Engine } from "../../../src/index.js";
import type { Cause } from "../../../src/model/cause.js";
import type { Scene, SceneFile, World } from "../../unit/cache/explain/scene.js";
import type { StandInBases } from "./stand-in-bases.js";

/** Where scenes are carried out by a real daemon, with bases, an index and a working directory of their own. */
export class Stage implements AsyncDisposable {
  readonly engine: Engine;
  /** What the engine has for an environment. */
  readonly env: Record<string, string | undefined>;
  readonly #bases: StandInBases;
  readonly #platforms: readonly string[];
  readonly #at: string;
  readonly #cwd: string;
  #files: Readonly<Record<string, SceneFile>> = {};

  private constructor(
    engine: Engine,
    env: Record<string, string | undefined>,
    { bases, at, dir, platforms = ["linux/amd64"] }: StageOptions,
  ) {
    this.engine = engine;
    this.env = env;
    this.#bases = bases;
    this.#platforms = platforms;
    this.#at = at;
    this.#cwd = join(dir, "work");
  }

  static async open(options: StageOptions): Promise<Stage> {
    const { address, bases, at, dir } = options;
    const env: Record<string, string | undefined> = {
      KILN_CACHE_DIR: join(dir, "cache"),
      KILN_DATA_DIR: join(dir, "data"),
      ...{ A: "a", B: "b", TOKEN: "1" },
    };
    const mirrors = { "docker.io": bases.mirror(at) };
    return new Stage(await Engine.connect({ host: address, env, mirrors }), env, options);
  }

  /** Makes everything as a scene has it, and returns how it is built there. */
  async set({ image, world }: Scene): Promise<BuildOptions> {
    const { bases: wanted, caBundles, usesDockerfile } = needsOf(image);
    const names = wanted.flatMap((base) => (base.kind === "registry" ? [familiar(base.ref)] : []));
    if (usesDockerfile) names.push("busybox:latest");
    const platforms = this.#platforms;
    for (const name of new Set(names)) {
      await this.#bases.put(this.#at, name, { content: world.tags?.[name] ?? "", platforms });
    }
    await this.#write(world);
    if (world.caBundle === true || caBundles.length > 0) {
      await writeFile(join(this.#cwd, "ca.pem"), "-----BEGIN CERTIFICATE-----\n");
    }
    Object.assign(this.env, world.secretVersions);
    return {
      cwd: this.#cwd,
      platform: world.platform,
      sourceDateEpoch: world.sourceDateEpoch,
      caBundle: world.caBundle === true ? "ca.pem" : undefined,
      forceBuild: world.force,
      ignoreCache: world.nonce === undefined ? undefined : true,
    };
  }

  /** Builds a scene. */
  async build(scene: Scene, more: BuildOptions = {}): Promise<BuildResult> {
    return this.engine.build(scene.image, { ...(await this.set(scene)), ...more }).result;
  }

  /** Plans a scene and builds it; returns what was foreseen, what happened, and what is said of it later. */
  async carryOut(scene: Scene, more: BuildOptions = {}): Promise<CarriedOut> {
    const options = { ...(await this.set(scene)), ...more };
    const { forecast } = await this.engine.plan(scene.image, options);
    const result = await this.engine.build(scene.image, options).result;
    const { steps } = await this.engine.explain({ build: result.ref });
    return {
      result,
      foreseen: forecast.steps.map(({ expect, cause }) => [expect, cause]),
      happened: result.cache.steps.map(({ outcome, cause }) => [told(outcome), cause]),
      explained: steps.map(({ outcome, cause }) => [told(outcome), cause]),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.engine.close();
  }

  async #write({ files = {} }: World): Promise<void> {
    await mkdir(this.#cwd, { recursive: true });
    for (const path of Object.keys(this.#files)) {
      if (!(path in files)) await rm(join(this.#cwd, path));
    }
    for (const [path, file] of Object.entries(files)) {
      if (this.#files[path] === file) continue;
      const target = join(this.#cwd, path);
      const { text, mode } = typeof file === "string" ? { text: file, mode: 0o644 } : file;
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, text);
      await chmod(target, mode);
    }
    this.#files = files;
  }
}

/** Options of {@link Stage.open}. */
export interface StageOptions {
  /** The daemon's. */
  readonly address: string;
  readonly bases: StandInBases;
  /** The bases' place: stages of one place may get from the daemon what another has built. */
  readonly at: string;
  /** Those that the bases are for; default `linux/amd64`. */
  readonly platforms?: readonly string[] | undefined;
  /** For the index and all local files. */
  readonly dir: string;
}

/** What a step does, and why. */
type StepTold = readonly ["cached" | "run" | "config", Cause | undefined];

/** A build as it was foreseen, as it went, and as `explain` tells it. */
export interface CarriedOut {
  readonly result: BuildResult;
  readonly foreseen: readonly StepTold[];
  readonly happened: readonly StepTold[];
  readonly explained: readonly StepTold[];
}

/** In the words of a forecast; of a build that went well, what was not needed was not missing. */
function told(outcome: BuildResult["steps"][number]["outcome"]): StepTold[0] {
  if (outcome === "config") return "config";
  return outcome === "cached" || outcome === "unused" ? "cached" : "run";
}

function familiar(ref: string): string {
  return ref.replace(/^docker\.io\/(?:library\/)?/, "");
}

/** Why each step ran, as kind and text by index. */
export function causesOf({ happened }: CarriedOut): Readonly<Record<string, readonly unknown[]>> {
  return Object.fromEntries(
    happened.flatMap(([what, cause], index) =>
      what === "run" ? [[index, [cause?.kind, cause?.text]] as const] : [],
    ),
  );
}

/** What {@link causesOf} is where some steps ran for the same reason. */
export function alike(
  kind: Cause["kind"],
  text: string,
  steps: readonly (number | string)[],
): ReturnType<typeof causesOf> {
  return Object.fromEntries(steps.map((index) => [index, [kind, text]]));
}
