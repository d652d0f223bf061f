import { KilnError } from "../errors.js";
import { Definition } from "../llb/definition.js";
import type { EncodedOp } from "../llb/encoded-op.js";
import { fromDefinition } from "../llb/from-definition.js";
import { local } from "../llb/local.js";
import { marshal } from "../llb/marshal.js";
import { movingSources } from "../llb/moving-sources.js";
import { rawField } from "../llb/rewrite-ops.js";
import { sourcesOf } from "../llb/rewrite-sources.js";
import { scratch } from "../llb/state.js";
import { readFields } from "../llb/wire-reader.js";
import type { BaseFact, Facts, FrontendFact } from "../model/facts.js";
import type { BaseNeed, Needs, SecretNeed } from "../model/needs.js";
import type { Plan } from "../model/plan.js";
import type { SecretVariable } from "../model/secret.js";
import type { StepEffect } from "../model/step-input.js";
import { isDigest, sha256 } from "../oci/digest.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { Platform } from "../oci/platform.js";
import { compile } from "./compile.js";
import type { ConfigChange } from "./config-change.js";
import { applyConfig } from "./config-change.js";
import type { AppliedStep, Chain, StepBase } from "./define-step.js";
import { FrontendNeeded, type FrontendQuestion, frontendContext } from "./frontend-question.js";
import type { LowerContext } from "./lower-context.js";
import { mayReadContext } from "./steps/dockerfile-options.js";

/** What of the outside {@link stepWorks} goes by. */
export interface StepWorkOptions {
  readonly platform: Platform;
  readonly builderVersion: string;
  readonly sourceDateEpoch?: number | undefined;
  /** Digests of what a base stands for, of the contents of trees, by need id. */
  readonly bases: ReadonlyMap<string, string>;
  readonly trees: ReadonlyMap<string, string>;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly listings: ReadonlyMap<string, readonly string[]>;
  readonly secrets: ReadonlyMap<string, readonly SecretVariable[]>;
  readonly caBundle?: string | undefined;
  readonly caBundles?: ReadonlyMap<string, string> | undefined;
}

/** What a step asks of a daemon. */
export interface StepWork {
  readonly effect: StepEffect;
  /** Digests: see `StepFingerprint`. */
  readonly work: string | undefined;
  readonly results: readonly string[];
  /** Sources of the step whose content may change though their names stay. */
  readonly moving: readonly string[];
  /** Names of the local trees that it reads. */
  readonly reads: ReadonlySet<string>;
}

const localScheme = "local://";

const emptyConfig: ImageConfig = { architecture: "", os: "linux", config: {} };

/**
 * What each step of a chain asks of a daemon, found by compiling the chain with stand-ins: a base is known by its digest
 * alone, a tree by that of its contents, a Dockerfile by its text. So it is alike on all machines and in all builds.
 *
 * `undefined` if the chain does not compile: the build will say why.
 */
export function stepWorks(
  image: Chain,
  needs: Needs,
  options: StepWorkOptions,
): readonly StepWork[] | undefined {
  const plan = compiled(image, needs, options);
  if (plan === undefined) return undefined;
  const ops = new Map((plan.definition?.ops ?? []).map((op) => [op.digest, readOp(op)]));
  // A base that is all there is to its step: it is what the next step starts from, not a part of that one.
  const starts = new Set(
    plan.steps.flatMap(({ vertices, sources }) => (vertices.length === sources.length ? sources : [])),
  );
  const isSource = new Set(plan.steps.flatMap(({ sources }) => sources));
  return plan.steps.map(({ index, vertices, sources }) => {
    const step = image.steps[index];
    if (vertices.length === 0) {
      const effect = step === undefined ? "config" : effectOfConfig(step);
      return { effect, work: undefined, results: [], moving: [], reads: new Set() };
    }
    const telling = vertices.filter((digest) => !sources.includes(digest));
    const own = telling.length > 0 ? telling : sources;
    const parts = new Set(own);
    // Mounts and the like, whichever step they count for: steps that have one in common share it.
    for (const digest of parts) {
      for (const input of ops.get(digest)?.inputs ?? []) {
        if (isSource.has(input) && !starts.has(input)) parts.add(input);
      }
    }
    const found = [...parts].flatMap((digest) => ops.get(digest) ?? []);
    // In the order of the chain; what is mounted comes in an order of its digests, which changes with other steps.
    const tasks = [
      ...own.flatMap((digest) => ops.get(digest)?.work ?? []),
      "",
      ...found.map(({ work }) => work).sort(),
    ];
    const definition = new Definition({
      ops: found.map(({ op }) => op),
      metadata: new Map(),
      source: undefined,
    });
    return {
      effect: telling.length === 0 ? "source" : found.some(({ isExec }) => isExec) ? "run" : "copy",
      work: sha256(tasks.join("\n")),
      results: own,
      moving: movingSources(definition),
      reads: new Set(
        sourcesOf(definition).flatMap(({ identifier }) =>
          identifier.startsWith(localScheme) ? [identifier.slice(localScheme.length)] : [],
        ),
      ),
    };
  });
}

// Field numbers of `pb.Op`.
const opInputs = 1;
const opExec = 2;

function readOp(op: EncodedOp) {
  const where = `op ${op.digest}`;
  const fields = readFields(op.bytes, where);
  const kept = fields.flatMap(({ number }, index) =>
    number === opInputs ? [] : [rawField(op.bytes, fields, index)],
  );
  const inputs = fields.flatMap(({ number, bytes }) => {
    if (number !== opInputs || bytes === undefined) return [];
    const digest = readFields(bytes, where).find((field) => field.number === 1)?.bytes;
    return digest === undefined ? [] : [new TextDecoder().decode(digest)];
  });
  return {
    op,
    inputs,
    isExec: fields.some(({ number }) => number === opExec),
    work: sha256(Buffer.concat(kept)),
  };
}

function compiled(image: Chain, needs: Needs, options: StepWorkOptions): Plan | undefined {
  const frontends = new Map<string, FrontendFact>();
  const facts: Facts = {
    platform: options.platform,
    builderVersion: options.builderVersion,
    sourceDateEpoch: options.sourceDateEpoch,
    files: options.files,
    listings: options.listings,
    bases: new Map(needs.bases.map((need) => [need.id, baseOf(need, options.bases)])),
    trees: new Map(
      needs.trees.map(({ id, path }) => {
        const name = nameOfTree(path, options.trees.get(id));
        return [id, { name, sharedKeyHint: name }];
      }),
    ),
    secrets: new Map(
      needs.secrets.map((need) => [need.id, options.secrets.get(need.id) ?? variablesOf(need)]),
    ),
    frontends,
    caBundle: options.caBundle,
    caBundles:
      options.caBundles ?? new Map(needs.caBundles.map(({ id, path }) => [id, `kiln.ca.${unix(path)}`])),
    localUniqueId: "any",
  };
  for (;;) {
    try {
      return compile(image, facts);
    } catch (error) {
      if (error instanceof FrontendNeeded && !frontends.has(error.question.id)) {
        frontends.set(error.question.id, standIn(error.question));
      } else if (error instanceof KilnError) return undefined;
      else throw error;
    }
  }
}

/** The name by which {@link StepWork.reads} knows a tree. */
export function nameOfTree(path: string, digest: string | undefined): string {
  return digest ?? `unknown ${unix(path)}`;
}

/** A path alike on all systems. */
function unix(path: string): string {
  return path.replaceAll("\\", "/");
}

/** What a base is called by those who write it. */
export function nameOfBase(need: BaseNeed | StepBase): string {
  switch (need.kind) {
    case "registry":
      return need.ref.replace(/^docker\.io\/(?:library\/)?/, "");
    case "oci-layout":
      return need.ref === undefined ? need.path : `${need.path} ${need.ref}`;
    case "rootfs":
      return need.path;
    case "stored":
      return need.name;
    default:
      return need satisfies never;
  }
}

function baseOf(need: BaseNeed, digests: ReadonlyMap<string, string>): BaseFact {
  const digest = digests.get(need.id);
  const known =
    digest !== undefined && isDigest(digest) ? digest : sha256(digest ?? `unknown ${unix(nameOfBase(need))}`);
  return { kind: "oci-layout", store: "base", digest: known, config: emptyConfig };
}

function variablesOf({ origin }: SecretNeed): readonly SecretVariable[] {
  switch (origin.kind) {
    case "object":
    case "env":
      return origin.keys.map((env) => ({ env, id: `${origin.kind}.${env}` }));
    case "dotenv":
      return [{ env: "DOTENV", id: `dotenv.${unix(origin.path)}` }];
    case "name":
      return [{ env: "NAME", id: `name.${origin.name}` }];
    default:
      return origin satisfies never;
  }
}

/** A graph in place of the one that a frontend would make of a Dockerfile: another one for each text and context. */
function standIn({ text, options, inputs }: FrontendQuestion): FrontendFact {
  const config = configOf(options);
  const { Env, WorkingDir, User, Shell, OnBuild } = config.config ?? {};
  const asked = Object.entries(options).filter(([name]) => name !== "filename" && !name.startsWith("input-"));
  const meaning = JSON.stringify([text, asked.sort(), Env, WorkingDir, User, Shell, OnBuild]);
  const base = Object.entries(inputs).find(([name]) => name !== "dockerfile" && name !== "context")?.[1];
  const start = base === undefined ? scratch() : fromDefinition(base);
  const takesContext = inputs["context"] === undefined && mayReadContext(text);
  const made = start.run(["dockerfile", sha256(meaning)], {
    mounts: takesContext
      ? [
          {
            target: "/context",
            source: local(frontendContext.slice(localScheme.length), { localUniqueId: "any" }),
            readonly: true,
          },
        ]
      : [],
  });
  return { definition: marshal(made.root()), config };
}

function configOf(options: Readonly<Record<string, string>>): ImageConfig {
  const [, text] = Object.entries(options).find(([name]) => name.startsWith("input-metadata:")) ?? [];
  if (text === undefined) return emptyConfig;
  const { "containerimage.config": encoded } = JSON.parse(text) as Readonly<Record<string, string>>;
  return JSON.parse(Buffer.from(encoded ?? "", "base64").toString()) as ImageConfig;
}

/** What a step that makes no op is to the steps after it. */
function effectOfConfig(step: AppliedStep): "config" | "settings" {
  const changed = new Set<ConfigChange["kind"]>();
  const refuse = (): never => {
    throw new NotConfig();
  };
  const context: LowerContext = {
    get platform() {
      return refuse();
    },
    get builder() {
      return refuse();
    },
    ...{ base: refuse, image: refuse, file: refuse, listing: refuse, run: refuse, copyTree: refuse },
    ...{ copyImage: refuse, copyArchive: refuse, dockerfile: refuse, constraints: refuse },
    configure(chain, change) {
      changed.add(change.kind);
      return applyConfig(chain, change);
    },
  };
  try {
    step.lower(
      { state: scratch(), base: undefined, config: {}, history: [], cmdSet: false, force: false },
      context,
    );
  } catch {
    return "settings";
  }
  const counts: readonly ConfigChange["kind"][] = ["env", "workdir", "shell", "user"];
  return changed.size === 0 || counts.some((kind) => changed.has(kind)) ? "settings" : "config";
}

class NotConfig extends Error {}
