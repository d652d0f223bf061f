import { createHash } from "node:crypto";
import { PatternMatcher } from "../../../../src/fsutil/pattern-matcher.js";
import { compile } from "../../../../src/image/compile.js";
import { ignoreLines } from "../../../../src/image/dockerfile/ignore-lines.js";
import { fingerprintsOf, forcedFrom } from "../../../../src/image/fingerprints.js";
import { FrontendNeeded, type FrontendQuestion } from "../../../../src/image/frontend-question.js";
import type { Image } from "../../../../src/image/image.js";
import { needsOf } from "../../../../src/image/needs-of.js";
import { fromDefinition } from "../../../../src/llb/from-definition.js";
import { image as imageSource } from "../../../../src/llb/image.js";
import { local } from "../../../../src/llb/local.js";
import { marshal } from "../../../../src/llb/marshal.js";
import { type State, scratch } from "../../../../src/llb/state.js";
import type { Facts, ForceFact, FrontendFact } from "../../../../src/model/facts.js";
import type { BaseNeed, Needs, TreeNeed } from "../../../../src/model/needs.js";
import type { Plan } from "../../../../src/model/plan.js";
import type { StepFingerprint } from "../../../../src/model/step-input.js";
import type { TreeDiff } from "../../../../src/model/tree-diff.js";
import { sha256 } from "../../../../src/oci/digest.js";
import { parsePlatform } from "../../../../src/oci/platform.js";

/** A file of a scene: its text, or text and mode. */
export type SceneFile = string | { readonly text: string; readonly mode: number };

/** What a chain is built in. */
export interface World {
  /** Local files by path, relative to the build's working directory. */
  readonly files?: Readonly<Record<string, SceneFile>>;
  /** What tags have moved to, by reference as people write it; default: something of its own for each. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly platform?: string;
  readonly sourceDateEpoch?: number;
  readonly packageVersion?: string;
  /** Versions of secrets that count by it, by variable. */
  readonly secretVersions?: Readonly<Record<string, string>>;
  /** The whole chain is forced. */
  readonly force?: boolean;
  /** Only for itself. */
  readonly nonce?: string;
  /** Certificates for the whole build. */
  readonly caBundle?: boolean;
}

/** A chain and what it is built in. */
export interface Scene {
  readonly image: Image;
  readonly world: World;
}

/** A scene as a build finds it. */
export interface GatheredScene {
  readonly needs: Needs;
  readonly fingerprints: readonly StepFingerprint[];
  readonly plan: Plan;
  /** Digests of local trees by the names that the plan has for them. */
  readonly trees: ReadonlyMap<string, string>;
  readonly forcedFrom: number | undefined;
}

type Entries = ReadonlyMap<string, { readonly text: string; readonly mode: number }>;

/** Contents by digest, as an index keeps them. */
export class SceneStore {
  readonly trees = new Map<string, Entries>();
  readonly files = new Map<string, string>();

  /** How a tree differs from another one. */
  diff(before: string | undefined, after: string | undefined): TreeDiff | undefined {
    const [old, now] = [this.trees.get(before ?? ""), this.trees.get(after ?? "")];
    if (old === undefined || now === undefined) return undefined;
    const gone = [...old.keys()].filter((path) => !now.has(path));
    const added: string[] = [];
    const renamed: { from: string; to: string }[] = [];
    for (const [path, file] of now) {
      if (old.has(path)) continue;
      const at = gone.findIndex((other) => old.get(other)?.text === file.text);
      if (at < 0) added.push(path);
      else renamed.push({ from: gone.splice(at, 1)[0] ?? "", to: path });
    }
    const changed = [...now].flatMap(([path, file]) => {
      const other = old.get(path);
      if (other === undefined || (other.text === file.text && other.mode === file.mode)) return [];
      return [{ path, what: other.text === file.text ? "mode" : "content" }];
    });
    return { added, removed: gone, changed, renamed, total: now.size };
  }
}

/** Gathers a scene as a build does, and compiles it with the base that a registry would have given. */
export function gatherScene({ image, world }: Scene, store: SceneStore): GatheredScene {
  const files = new Map<string, Uint8Array>();
  const listings = new Map<string, readonly string[]>();
  let needs = needsOf(image);
  for (let known = -1; known !== files.size + listings.size; ) {
    known = files.size + listings.size;
    needs = needsOf(image, { found: { files, listings } });
    for (const { id, path } of needs.files) {
      const file = world.files?.[clean(path)];
      if (file === undefined) continue;
      const { text } = entry(file);
      files.set(id, new TextEncoder().encode(text));
      store.files.set(sha256(text), text);
    }
    for (const { id, path, patterns } of needs.listings) {
      const found = [...entriesBelow(world, path).keys()];
      const wanted = new PatternMatcher([...patterns]);
      listings.set(id, found.filter((name) => wanted.matches(name)).sort());
    }
  }
  const trees = new Map(needs.trees.map((need) => [need.id, treeDigest(need, world, files, store)]));
  const bases = new Map(needs.bases.map((need) => [need.id, baseDigest(need, world)]));
  const secretVersions = new Map(
    needs.secrets.flatMap(({ id, origin }) => {
      const versions = ("keys" in origin ? origin.keys : []).flatMap(
        (key) => world.secretVersions?.[key] ?? [],
      );
      return versions.length === 0 ? [] : [[id, versions.join()] as const];
    }),
  );
  const secrets = new Map(
    needs.secrets.flatMap(({ id, origin }) =>
      "keys" in origin ? [[id, origin.keys.map((env) => ({ env, id: `kiln.env.${env}` }))] as const] : [],
    ),
  );
  const platform = parsePlatform(world.platform ?? "linux/amd64");
  const frontends = new Map<string, FrontendFact>();
  const force: ForceFact | undefined =
    world.nonce !== undefined
      ? { kind: "apart", nonce: world.nonce }
      : world.force === true
        ? { kind: "replace" }
        : undefined;
  const facts: Facts = {
    ...{ platform, files, listings, frontends, force },
    secrets: new Map(
      [...secrets].map(([id, variables]) => [
        id,
        variables.map(({ env, id: of }) => ({ env, id: `${of}${secretVersions.get(id) ?? ""}` })),
      ]),
    ),
    builderVersion: "2026.11",
    bases: new Map(needs.bases.map((need) => [need.id, baseFact(need, bases.get(need.id) ?? "")])),
    trees: new Map(needs.trees.map(({ id }) => [id, { name: `tree ${id}`, sharedKeyHint: id }])),
    caBundle: world.caBundle === true ? "kiln.ca" : undefined,
    caBundles: new Map(needs.caBundles.map(({ id, path }) => [id, `kiln.ca.${path}`])),
    sourceDateEpoch: world.sourceDateEpoch,
    localUniqueId: String(Math.random()),
  };
  const plan = compiled(image, facts, frontends, world);
  return {
    needs,
    plan,
    trees: new Map([...trees].map(([id, digest]) => [`tree ${id}`, digest])),
    forcedFrom: forcedFrom(image, world.force === true || world.nonce !== undefined),
    fingerprints: fingerprintsOf(image, {
      ...{ platform, files, listings, trees, bases, secrets, secretVersions, frontends },
      packageVersion: world.packageVersion ?? "0.1.0",
      sourceDateEpoch: world.sourceDateEpoch,
      caBundle: facts.caBundle,
      nonce: world.nonce,
    }),
  };
}

/** Digest of what a tag stands for in a scene. */
export function tagDigest(tag: string, world: World): string {
  return sha256(world.tags?.[tag] ?? tag);
}

function compiled(image: Image, facts: Facts, frontends: Map<string, FrontendFact>, world: World): Plan {
  for (;;) {
    try {
      return compile(image, facts);
    } catch (error) {
      if (!(error instanceof FrontendNeeded)) throw error;
      frontends.set(error.question.id, answer(error.question, world));
    }
  }
}

/** What a frontend makes of a Dockerfile, as far as scenes have such. */
function answer({ text, inputs }: FrontendQuestion, world: World): FrontendFact {
  let state: State = scratch();
  const base = inputs["kiln-base"];
  for (const line of text.split("\n")) {
    const [, instruction = "", rest = ""] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    if (instruction === "FROM") {
      const ref = `docker.io/library/${rest}@${tagDigest(rest, world)}`;
      state = rest === "base" && base !== undefined ? fromDefinition(base) : imageSource(ref);
    } else if (instruction === "RUN") state = state.run(["/bin/sh", "-c", rest]).root();
    else if (instruction === "COPY") {
      state = state
        .run(["copy", rest], {
          mounts: [{ target: "/context", source: local("context", { localUniqueId: "any" }) }],
        })
        .root();
    }
  }
  return { definition: marshal(state), config: { architecture: "amd64", os: "linux", config: {} } };
}

function baseFact(
  need: BaseNeed,
  digest: string,
): Facts["bases"] extends ReadonlyMap<string, infer T> ? T : never {
  const config = {
    ...{ architecture: "amd64", os: "linux" },
    config: { Env: ["PATH=/usr/local/bin:/usr/bin:/bin"], Labels: { of: digest } },
  };
  return need.kind === "registry"
    ? { kind: "registry", ref: `${need.ref}@${digest}`, digest, config }
    : { kind: "oci-layout", store: "layout", digest, config };
}

function baseDigest(need: BaseNeed, world: World): string {
  if (need.kind !== "registry") return tagDigest("path" in need ? need.path : need.name, world);
  return tagDigest(need.ref.replace(/^docker\.io\/(?:library\/)?/, ""), world);
}

function treeDigest(
  need: TreeNeed,
  world: World,
  files: ReadonlyMap<string, Uint8Array>,
  store: SceneStore,
): string {
  const content = need.ignoreFiles.map((id) => files.get(id)).find((bytes) => bytes !== undefined);
  const ignored = new PatternMatcher([
    ...(content === undefined ? [] : ignoreLines(new TextDecoder().decode(content))),
    ...need.ignore,
  ]);
  const single = world.files?.[clean(need.path)];
  const found: Entries =
    need.kind === "file"
      ? new Map(single === undefined ? [] : [["file", entry(single)]])
      : new Map([...entriesBelow(world, need.path)].filter(([path]) => !ignored.matches(path)));
  const hash = createHash("sha256");
  const entries: Entries =
    need.mode === "own"
      ? found
      : new Map(
          [...found].map(([path, { text, mode }]) => [
            path,
            { text, mode: (mode & 0o100) === 0 ? 0o644 : 0o755 },
          ]),
        );
  for (const [path, { text, mode }] of entries) hash.update(JSON.stringify([path, text, mode]));
  const digest = `sha256:${hash.digest("hex")}`;
  store.trees.set(digest, entries);
  return digest;
}

function entriesBelow(world: World, dir: string): Entries {
  const root = clean(dir);
  const prefix = root === "." || root === "" ? "" : `${root}/`;
  return new Map(
    Object.entries(world.files ?? {})
      .filter(([path]) => path.startsWith(prefix))
      .map(([path, file]) => [path.slice(prefix.length), entry(file)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function entry(file: SceneFile): { readonly text: string; readonly mode: number } {
  return typeof file === "string" ? { text: file, mode: 0o644 } : file;
}

function clean(path: string): string {
  return path.replace(/^\.\//, "").replace(/\/$/, "");
}
