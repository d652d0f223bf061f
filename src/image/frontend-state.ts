import { createHash } from "node:crypto";
import { capability } from "../llb/capabilities.js";
import { Definition } from "../llb/definition.js";
import { fromDefinition } from "../llb/from-definition.js";
import { type DefinitionExec, type ExecAdditions, rewriteExecs } from "../llb/rewrite-execs.js";
import { type DefinitionSource, rewriteSources, type SourceChange } from "../llb/rewrite-sources.js";
import { scratch } from "../llb/state.js";
import type { FrontendFact, TreeFact } from "../model/facts.js";
import type { ChainState } from "./chain-state.js";
import { type FrontendBase, frontendContext } from "./frontend-question.js";
import { withSurroundings } from "./llb-surroundings.js";
import { stepKey } from "./step-key.js";

/** What a Dockerfile's graph is made part of a chain with. */
export interface FrontendUse {
  readonly base: FrontendBase | undefined;
  /** What COPY and ADD read. */
  readonly tree: TreeFact | undefined;
  readonly localUniqueId: string;
  /** Ties ops to the step. */
  readonly description: Readonly<Record<string, string>>;
  readonly forced: boolean;
  /** What the step's options add to a command. */
  readonly additions: (exec: DefinitionExec, command: string) => ExecAdditions;
  /** Notes a command's text for errors; gives its number. */
  readonly note: (command: string) => number;
}

/** Where the frontend keeps an instruction's text in an op's description. */
const commandKey = "com.docker.dockerfile.v1.command";

/**
 * The chain as a frontend's answer makes it of `chain`: local files under the tree's own name and key, commands with the
 * step's options, all ops tied to the step. The ops of the chain so far stay as they are.
 */
export function frontendState(answer: FrontendFact, chain: ChainState, use: FrontendUse): ChainState {
  const { definition, config } = answer;
  const container = config.config ?? {};
  const state = definition === undefined ? scratch() : fromDefinition(adapted(definition, use));
  const cmd = container.Cmd ?? undefined;
  const sameCmd = JSON.stringify(cmd) === JSON.stringify(chain.config.Cmd ?? undefined);
  return {
    state: withSurroundings(state, container.Env ?? [], container.WorkingDir),
    base: use.base === undefined ? config : (chain.base ?? config),
    config: container,
    history: config.history ?? [],
    cmdSet: use.base !== undefined && cmd !== undefined && (!sameCmd || chain.cmdSet),
    force: use.forced,
  };
}

function adapted(definition: Definition, use: FrontendUse): Definition {
  const before = new Set(use.base?.definition.ops.map(({ digest }) => digest));
  const sources = rewriteSources(definition, (source) =>
    before.has(source.op.digest) ? undefined : ownSource(source, use),
  );
  const withCaches = new Set<string>();
  const execs = rewriteExecs(sources, (exec) => {
    if (before.has(exec.op.digest)) return undefined;
    const command = commandOf(sources, exec.op.digest) ?? exec.args.join(" ");
    if (exec.hasCaches) withCaches.add(command);
    return use.additions(exec, command);
  });
  return described(execs, { before, withCaches, use });
}

function commandOf({ metadata }: Definition, digest: string): string | undefined {
  const description = metadata.get(digest)?.description;
  return description?.[commandKey] ?? description?.["llb.customname"];
}

function ownSource({ identifier, attrs }: DefinitionSource, use: FrontendUse): SourceChange | undefined {
  if (identifier === frontendContext && use.tree !== undefined) {
    return contextSource(attrs, use.tree, use.localUniqueId);
  }
  const kept = Object.entries(attrs).filter(([key]) => {
    // A layout's session is this build's, whatever it is called.
    if (key === "oci.session") return false;
    // A digest is not pulled for being old.
    return key !== "image.resolvemode" || !identifier.includes("@sha256:");
  });
  if (kept.length === Object.keys(attrs).length) return undefined;
  return { identifier, attrs: Object.fromEntries(kept), caps: [] };
}

/**
 * The context's own source: what `addLocalDir` reads of the same tree, or a part of it. The daemon keeps each part on its
 * own, as it would drop what the other part has with every build.
 */
function contextSource(
  attrs: Readonly<Record<string, string>>,
  { name, sharedKeyHint }: TreeFact,
  localUniqueId: string,
): SourceChange {
  const { "local.session": _session, "local.sharedkeyhint": _hint, ...narrowed } = attrs;
  const parts = JSON.stringify(Object.entries(narrowed).sort());
  const part = createHash("sha256").update(parts).digest("hex").slice(0, 12);
  const hint = parts === "[]" ? sharedKeyHint : `${sharedKeyHint}-${part}`;
  return {
    identifier: `local://${name}`,
    attrs: { ...narrowed, "local.sharedkeyhint": hint, "local.unique": localUniqueId },
    caps: [capability.localUnique],
  };
}

/** Ties the ops that the frontend made to the step. */
function described(
  definition: Definition,
  {
    before,
    withCaches,
    use,
  }: {
    /** Ops of the chain so far. */
    readonly before: ReadonlySet<string>;
    /** Commands that have cache directories. */
    readonly withCaches: ReadonlySet<string>;
    readonly use: FrontendUse;
  },
): Definition {
  const metadata = new Map(definition.metadata);
  for (const { digest, kind, name } of definition.vertices()) {
    const known = use.base?.definition.metadata.get(digest);
    if (before.has(digest)) {
      if (known !== undefined) metadata.set(digest, known);
      continue;
    }
    const found = metadata.get(digest) ?? {};
    const isSource = kind === "source" || found.description?.[`${stepKey}.source`] === "true";
    const command = kind === "exec" ? (commandOf(definition, digest) ?? name) : undefined;
    // With caches a mark is ignored instead: to ignore the command itself would empty its caches.
    const ignored = use.forced && command !== undefined && !withCaches.has(command);
    metadata.set(digest, {
      ...found,
      description: {
        ...found.description,
        ...use.description,
        ...(isSource ? { [`${stepKey}.source`]: "true" } : {}),
        ...(command === undefined ? {} : { [`${stepKey}.command`]: String(use.note(command)) }),
      },
      ...(ignored ? { ignoreCache: true } : {}),
    });
  }
  return new Definition({
    ops: definition.ops,
    metadata,
    source: definition.source,
    unsentCaps: definition.unsentCaps,
  });
}
