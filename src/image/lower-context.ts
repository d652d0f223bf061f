import { KilnError } from "../errors.js";
import type { ConstraintOptions } from "../llb/constraints.js";
import type { CacheSharing, RunMount } from "../llb/exec-options.js";
import { copy, mkfile } from "../llb/file-action.js";
import { image } from "../llb/image.js";
import { local } from "../llb/local.js";
import { ociLayout } from "../llb/oci-layout.js";
import { type State, scratch } from "../llb/state.js";
import type { BaseFact, Facts } from "../model/facts.js";
import type { Platform } from "../oci/platform.js";
import { type ChainState, withLayerHistory } from "./chain-state.js";
import { needId } from "./need-id.js";
import { stepKey } from "./step-key.js";

/** 1980-01-01T00:00:02Z: the earliest time that Python's zip files can hold. */
const defaultFileTime = 315_532_802;

/** A cache directory of one command, shared by all builds on the daemon that use its id. */
export interface CacheMount {
  readonly target: string;
  readonly id: string;
  readonly sharing: CacheSharing;
}

/** A command for {@link LowerContext.run}. */
export interface RunRequest {
  readonly argv: readonly string[];
  /** What errors and history show; the argv without its shell, mostly. */
  readonly command: string;
  /** The op's name in progress. */
  readonly title: string;
  /** Environment of this command alone. */
  readonly env?: readonly (readonly [string, string])[] | undefined;
  readonly caches?: readonly CacheMount[] | undefined;
  /** Keys of the step's secrets: the command gets their variables. */
  readonly secrets?: readonly string[] | undefined;
  /** Full name of a CDI device that the command runs with. */
  readonly device?: string | undefined;
  /** Small files that the command sees in place of the image's own; nothing of them stays. */
  readonly files?: readonly { readonly target: string; readonly content: string }[] | undefined;
}

/** A copy out of a local tree for {@link LowerContext.copyTree}. */
export interface CopyTreeRequest {
  /** Key of the tree in the step's needs. */
  readonly tree: string;
  /** Path in the tree. */
  readonly from: string;
  /** Path in the image. */
  readonly to: string;
  /** Copy what is in the directory `from`, not the directory itself. */
  readonly contents: boolean;
  /** Keep file times instead of setting all to one. */
  readonly keepMtime: boolean;
  readonly title: string;
}

/** What a step's `lower` works with: facts about the outside, and helpers that add ops as all steps do. */
export interface LowerContext {
  readonly platform: Platform;
  /** The chain begun by one of the step's bases: its files, config and history. */
  base(key: string): ChainState;
  /** Content of one of the step's files. */
  file(key: string): Uint8Array;
  /** Runs a command as root with the chain's environment and directory; one layer. */
  run(chain: ChainState, request: RunRequest): ChainState;
  /** Copies files of a local tree into the image, as root's and with fixed times; one layer. */
  copyTree(chain: ChainState, request: CopyTreeRequest): ChainState;
  /** Constraints for ops that a step makes itself: they tie the op to the step in progress and errors. */
  constraints(title: string): ConstraintOptions;
}

/** Makes the context of step `index`; `onCommand` hears which op's description names which command. */
export function lowerContext(index: number, facts: Facts, commands: string[]): LowerContext {
  const lookUp = <T>(map: ReadonlyMap<string, T>, key: string): T => {
    const found = map.get(needId(index, key));
    if (found !== undefined) return found;
    throw new KilnError(
      "ERR_KILN_INVALID_ARGUMENT",
      `step ${index + 1} asks for "${key}", which it did not name in needs`,
    );
  };
  const constraints = (title: string): ConstraintOptions => ({
    customName: title,
    description: { [stepKey]: String(index) },
  });
  const sourceConstraints = (title: string): ConstraintOptions => ({
    customName: title,
    description: { [stepKey]: String(index), [`${stepKey}.source`]: "true" },
  });
  const { platform, localUniqueId } = facts;
  return {
    platform,
    constraints,
    file: (key) => lookUp(facts.files, key),
    base: (key) => baseState(lookUp(facts.bases, key), platform, sourceConstraints),
    run(chain, request) {
      const command = commands.push(request.command) - 1;
      const state = chain.state
        .run(request.argv, {
          ...constraints(request.title),
          description: { [stepKey]: String(index), [`${stepKey}.command`]: String(command) },
          env: Object.fromEntries(request.env ?? []),
          secrets: (request.secrets ?? []).flatMap((key) =>
            lookUp(facts.secrets, key).map(({ env, id }) => ({ env, id })),
          ),
          cdiDevices: request.device === undefined ? [] : [{ name: request.device }],
          mounts: [
            ...(request.caches ?? []).map(cacheMount),
            ...(request.files ?? []).map((file) =>
              fileMount(file, sourceConstraints(`prepare ${file.target}`)),
            ),
          ],
        })
        .root();
      return withLayerHistory({ ...chain, state }, `RUN ${request.command}`);
    },
    copyTree(chain, request) {
      const tree = lookUp(facts.trees, request.tree);
      const source = local(tree.name, {
        sharedKeyHint: tree.sharedKeyHint,
        localUniqueId,
        ...sourceConstraints(`load ${request.title}`),
      });
      const seconds = facts.sourceDateEpoch ?? defaultFileTime;
      const action = copy(source, {
        src: request.from,
        dest: request.to,
        copyDirContentsOnly: request.contents,
        createDestPath: true,
        ...(request.keepMtime ? {} : { createdTime: BigInt(seconds) * 1_000_000_000n }),
      });
      const state = chain.state.file(action, constraints(request.title));
      // Not the title: a path of this machine's would make the image differ from one machine to the next.
      return withLayerHistory(
        { ...chain, state },
        `COPY ${request.contents ? "directory" : "file"} ${request.to}`,
      );
    },
  };
}

function cacheMount({ target, id, sharing }: CacheMount): RunMount {
  return { target, source: scratch(), cache: { id, sharing } };
}

// A read-only bind of one file: what was at the target, or nothing, is there again after the command.
function fileMount(
  file: { readonly target: string; readonly content: string },
  constraints: ConstraintOptions,
): RunMount {
  const { target, content } = file;
  const source = scratch().file(mkfile("/file", content, { mode: 0o644, createdTime: 0n }), constraints);
  return { target, source, sourcePath: "/file", readonly: true };
}

function baseState(
  fact: BaseFact,
  platform: Platform,
  constraints: (title: string) => ConstraintOptions,
): ChainState {
  const source =
    fact.kind === "registry"
      ? image(fact.ref, { platform, ...constraints(`from ${fact.ref}`) })
      : ociLayout(`kiln/layout@${fact.digest}`, {
          platform,
          storeId: fact.store,
          ...constraints(`from OCI layout ${fact.digest.slice(0, 19)}`),
        });
  const config = fact.config.config ?? {};
  return {
    state: withSurroundings(source, config.Env ?? [], config.WorkingDir),
    base: fact.config,
    config,
    history: fact.config.history ?? [],
    cmdSet: false,
  };
}

function withSurroundings(state: State, env: readonly string[], dir: string | undefined): State {
  let next = state;
  for (const entry of env) {
    const equals = entry.indexOf("=");
    if (equals > 0) next = next.addEnv(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return dir === undefined || dir === "" ? next : next.dir(dir);
}
