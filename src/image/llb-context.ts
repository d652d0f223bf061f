import { KilnError } from "../errors.js";
import type { ConstraintOptions } from "../llb/constraints.js";
import type { Definition } from "../llb/definition.js";
import type { RunMount, RunSecret } from "../llb/exec-options.js";
import { copy, type FileAction, mkdir, mkfile } from "../llb/file-action.js";
import { http } from "../llb/http.js";
import { image as imageSource } from "../llb/image.js";
import { local } from "../llb/local.js";
import { marshal } from "../llb/marshal.js";
import { ociLayout } from "../llb/oci-layout.js";
import type { ExecBind } from "../llb/rewrite-execs.js";
import { type State, scratch } from "../llb/state.js";
import type { BaseFact, Facts } from "../model/facts.js";
import type { PlanCommand } from "../model/plan.js";
import type { PlanCopy, TreeWay } from "../model/tree-way.js";
import type { Platform } from "../oci/platform.js";
import { builderVersion } from "./builder-version.js";
import { caMounts } from "./ca-mounts.js";
import { type ChainState, defaultShell, withLayerHistory } from "./chain-state.js";
import { applyConfig } from "./config-change.js";
import type { AppliedStep } from "./define-step.js";
import { FrontendNeeded, frontendBase, frontendQuestion } from "./frontend-question.js";
import { frontendState } from "./frontend-state.js";
import { imageConfigOf } from "./image-config-of.js";
import { LayersNeeded } from "./layers-question.js";
import { withSurroundings } from "./llb-surroundings.js";
import type {
  CacheMount,
  CopyTreeRequest,
  DirMount,
  FileMount,
  LowerContext,
  RunRequest,
  TreeMount,
} from "./lower-context.js";
import { needId, optionCaKey, optionSecretKey } from "./need-id.js";
import { oneLine } from "./one-line.js";
import { versionId, versionOf } from "./secret-version.js";
import { shellQuote } from "./shell-quote.js";
import { stepKey } from "./step-key.js";
import { isCdiName } from "./step-options.js";

/** 1980-01-01T00:00:02Z: the earliest time that Python's zip files can hold. */
const defaultFileTime = 315_532_802;

/** What one compilation shares among its steps. */
export interface Compilation {
  readonly facts: Facts;
  /** Commands in the order in which they were added; ops name them by index. */
  readonly commands: string[];
  /** How often a command with caches was marked so far. */
  readonly marks: Map<string, number>;
  /** Copies of trees' contents so far. */
  readonly copies: (Omit<PlanCopy, "before"> & { readonly before: State })[];
  /** The commands of a definition, by op digest. */
  readonly commandsIn: (definition: Definition | undefined) => ReadonlyMap<string, PlanCommand>;
  /** Compiles a chain that a step uses. */
  readonly compileNested: (step: AppliedStep, place: StepPlace, key: string) => ChainState;
}

/** Where a step stands. */
export interface StepPlace {
  /** See `needId`. */
  readonly scope: string;
  readonly index: number;
  /** Index of the step of the outermost chain, which progress and errors name. */
  readonly shownAs: number;
}

/** The context that turns a step into LLB. */
export function llbContext(step: AppliedStep, place: StepPlace, compilation: Compilation): LowerContext {
  const { facts, commands } = compilation;
  const { platform, localUniqueId } = facts;
  const { options } = step;
  const idOf = (key: string): string => needId(place.scope, place.index, key);
  const lookUp = <T>(map: ReadonlyMap<string, T>, key: string): T => {
    const found = map.get(idOf(key));
    if (found !== undefined) return found;
    throw new KilnError(
      "ERR_KILN_INVALID_ARGUMENT",
      `${step.id}: the step asks for "${key}", which it did not name in needs`,
      { location: step.location },
    );
  };
  const own = { [stepKey]: String(place.shownAs) };
  const constraints = (title: string): ConstraintOptions => ({ customName: title, description: own });
  const sourceConstraints = (title: string): ConstraintOptions => ({
    customName: title,
    description: { ...own, [`${stepKey}.source`]: "true" },
  });
  const base = (key: string): ChainState => {
    const begun = baseState(lookUp(facts.bases, key), facts, sourceConstraints);
    return { ...begun, force: isForced(begun) };
  };
  const image = (key: string): ChainState =>
    facts.bases.has(idOf(key)) ? base(key) : compilation.compileNested(step, place, key);
  const treeState = (key: string): State => {
    const tree = lookUp(facts.trees, key);
    return local(tree.name, {
      sharedKeyHint: tree.sharedKeyHint,
      localUniqueId,
      ...sourceConstraints(`load ${step.title}`),
    });
  };
  const secrets = (): readonly RunSecret[] => {
    const variables = (options?.secrets ?? []).flatMap((_secret, index) =>
      lookUp(facts.secrets, optionSecretKey(index)),
    );
    const version = versionOf(variables);
    const nonce = facts.force?.kind === "apart" ? `kiln.nonce.${facts.force.nonce}` : undefined;
    return [
      ...variables.map(({ env, id }) => ({ env, id })),
      // Nobody has secrets of these names, so commands see nothing of them; but they are part of the commands' key.
      ...(version === undefined
        ? []
        : [{ target: "/run/kiln/version", id: versionId(version), optional: true }]),
      ...(nonce === undefined ? [] : [{ target: "/run/kiln/nonce", id: nonce, optional: true }]),
    ];
  };
  const caBundle = (): string | undefined => {
    if (options?.caBundle === false) return undefined;
    return facts.caBundles.get(idOf(optionCaKey)) ?? facts.caBundle;
  };
  const isForced = (chain: ChainState): boolean => chain.force || options?.forceBuild === true;

  const wayOf = (chain: ChainState, request: CopyTreeRequest): TreeWay => {
    const { tree, to, contents, from, keepMtime } = request;
    // What is copied whole can be layers; a file alone, or a part of a tree, is small or has another name.
    if (!contents || from !== "/" || !facts.trees.has(idOf(tree))) return { kind: "local" };
    const id = `${idOf(tree)} ${to}`;
    const way: TreeWay | undefined = facts.ways === undefined ? { kind: "local" } : facts.ways.get(id);
    if (way !== undefined) {
      const { kind } = way;
      compilation.copies.push({
        id,
        tree: idOf(tree),
        step: place.shownAs,
        to,
        before: chain.state,
        way: kind,
      });
      return way;
    }
    const before = chain.state.output() === undefined ? undefined : marshal(chain.state, { platform });
    throw new LayersNeeded({
      id,
      tree: idOf(tree),
      step: place.shownAs,
      to,
      keepMtime,
      before,
      config: imageConfigOf(chain, platform),
      commands: compilation.commandsIn(before),
      createdBy: copiedBy(request),
      title: request.title ?? step.title,
      location: step.location,
    });
  };

  return {
    platform,
    builder: builderVersion(facts.builderVersion),
    constraints,
    file: (key) => facts.files.get(idOf(key)),
    listing: (key) => facts.listings.get(idOf(key)) ?? [],
    base,
    image,
    configure: applyConfig,
    run(chain, request) {
      const shown = shownCommand(request);
      const title = request.title ?? step.title;
      const command = commands.push(shown) - 1;
      const caches = request.caches ?? [];
      const forced = isForced(chain);
      const mounts: RunMount[] = [
        ...caches.map(cacheMount),
        ...(request.files ?? []).map((file) => fileMount(file, sourceConstraints(`prepare ${file.target}`))),
        ...(request.dirs ?? []).map((dir) => dirMount(dir, sourceConstraints(`prepare ${dir.target}`))),
        ...(request.images ?? []).map(({ image: key, from, target }) => ({
          target,
          source: image(key).state,
          sourcePath: from,
          readonly: true,
        })),
        ...(request.trees ?? []).map((tree) => treeMount(tree, treeState(tree.tree))),
        ...(request.tmpfs ?? []).map((target): RunMount => ({ target, tmpfs: true })),
        ...(caches.length > 0 ? [markMount(shown, forced, compilation.marks, sourceConstraints)] : []),
      ];
      const ca = caMounts(caBundle(), sourceConstraints("prepare certificates"));
      const given = [...ca.env, ...(request.env ?? []), ...(options?.env ?? [])];
      const state = chain.state
        .run(argvOf(request, chain), {
          customName: title,
          description: { ...own, [`${stepKey}.command`]: String(command) },
          // With caches the mark is ignored instead: to ignore the command itself would empty its caches.
          ignoreCache: forced && caches.length === 0,
          env: Object.fromEntries(given),
          dir: request.dir,
          secrets: [...secrets(), ...ca.secrets],
          cdiDevices: cdiDevice(options).map((name) => ({ name })),
          mounts: [...mounts, ...ca.mounts],
        })
        .root();
      return withLayerHistory({ ...chain, state, force: forced }, `RUN ${shown}`);
    },
    copyTree(chain, request) {
      const way = wayOf(chain, request);
      if (way.kind === "layers") {
        const source = ociLayout(`kiln/tree@${way.digest}`, {
          platform,
          storeId: way.store,
          ...sourceConstraints(request.title ?? step.title),
        });
        const next = { ...chain, state: chain.state.withOutput(source), force: isForced(chain) };
        return Array.from({ length: way.layers }).reduce<ChainState>(
          (made) => withLayerHistory(made, copiedBy(request)),
          next,
        );
      }
      const seconds = facts.sourceDateEpoch ?? defaultFileTime;
      const action = copy(treeState(request.tree), {
        src: request.from,
        dest: request.to,
        copyDirContentsOnly: request.contents,
        createDestPath: true,
        ...(request.keepMtime ? {} : { createdTime: BigInt(seconds) * 1_000_000_000n }),
      });
      const state = chain.state.file(action, constraints(request.title ?? step.title));
      return withLayerHistory({ ...chain, state, force: isForced(chain) }, copiedBy(request));
    },
    copyImage(chain, { image: key, from, to, title }) {
      const source = image(key);
      const action = copy(source.state, {
        src: from,
        dest: to,
        copyDirContentsOnly: true,
        createDestPath: true,
        followSymlinks: true,
      });
      const state = chain.state.file(action, constraints(title ?? step.title));
      const force = isForced(chain) || source.force;
      return withLayerHistory({ ...chain, state, force }, `COPY --from ${from} ${to}`);
    },
    copyArchive(chain, { archive, from, to, title }) {
      const unpacked = scratch().file(
        "url" in archive
          ? copy(download(archive, sourceConstraints(`download ${archive.url}`)), {
              ...{ src: "/archive", dest: "/", attemptUnpack: true },
            })
          : copy(treeState(archive.tree), { src: archive.path, dest: "/", attemptUnpack: true }),
        sourceConstraints(`unpack for ${step.title}`),
      );
      const action = copy(unpacked, {
        ...{ src: from, dest: to, copyDirContentsOnly: true, createDestPath: true },
        owner: "0:0",
      });
      const state = chain.state.file(action, constraints(title ?? step.title));
      const source = "url" in archive ? archive.url : "archive";
      return withLayerHistory({ ...chain, state, force: isForced(chain) }, `ADD ${source} ${to}`);
    },
    dockerfile(chain, request) {
      const id = idOf(`dockerfile.${request.key}`);
      const base =
        request.baseName === undefined ? undefined : frontendBase(request.baseName, chain, platform);
      const answer = facts.frontends.get(id);
      if (answer === undefined) {
        const { title, location } = step;
        const { sourceDateEpoch } = facts;
        throw new FrontendNeeded(
          frontendQuestion(request, { id, base, platform, sourceDateEpoch, title, location }),
        );
      }
      const forced = isForced(chain);
      const variables = new Map(secrets().map(({ env, id: secretId }) => [env, secretId]));
      const ca = caMounts(caBundle(), sourceConstraints("prepare certificates"));
      const binds = ca.mounts.map((mount) => bindOf(mount, platform));
      return frontendState(answer, chain, {
        base,
        tree: request.context === undefined ? undefined : lookUp(facts.trees, request.context),
        localUniqueId,
        description: own,
        forced,
        note: (command) => commands.push(command) - 1,
        additions: ({ hasCaches }, command) => ({
          env: [...ca.env, ...(options?.env ?? [])],
          secrets: [...secrets(), ...ca.secrets],
          secretId: (named) => variables.get(named),
          devices: cdiDevice(options),
          binds: hasCaches
            ? [...binds, bindOf(markMount(command, forced, compilation.marks, sourceConstraints), platform)]
            : binds,
        }),
      });
    },
  };
}

/** Not the step's title: a path of this machine's would make the image differ from one machine to the next. */
function copiedBy({ contents, to }: CopyTreeRequest): string {
  return `COPY ${contents ? "directory" : "file"} ${to}`;
}

function cdiDevice(options: AppliedStep["options"]): readonly string[] {
  return options?.gpu !== undefined && isCdiName(options.gpu) ? [options.gpu] : [];
}

function bindOf({ target, source, sourcePath, readonly }: RunMount, platform: Platform): ExecBind {
  return {
    target,
    source: marshal(source ?? scratch(), { platform }),
    sourcePath: sourcePath ?? "/",
    writable: readonly !== true,
  };
}

function argvOf(request: RunRequest, chain: ChainState): readonly string[] {
  return "argv" in request ? request.argv : [...(chain.config.Shell ?? defaultShell), request.script];
}

function shownCommand(request: RunRequest): string {
  if (request.command !== undefined) return request.command;
  return "argv" in request ? request.argv.map(shellQuote).join(" ") : request.script;
}

function cacheMount({ target, id, sharing }: CacheMount): RunMount {
  return { target, source: scratch(), cache: { id, sharing } };
}

/**
 * A tiny mount by which a command with caches can be made to run again: the file is made anew, so its user runs. The
 * command may write to it, else the daemon would find that its content is the old one, and skip the command.
 */
function markMount(
  command: string,
  forced: boolean,
  marks: Map<string, number>,
  constraints: (title: string) => ConstraintOptions,
): RunMount {
  const count = marks.get(command) ?? 0;
  marks.set(command, count + 1);
  // One mark a command: to ignore a mark that another command has too would make that one run again as well.
  const content = count === 0 ? command : `${command}\n${count}`;
  const file = mkfile("/mark", content, { mode: 0o644, createdTime: 0n });
  const source = scratch().file(file, {
    ...constraints(`mark ${oneLine(command)}`),
    ignoreCache: forced,
  });
  return { target: "/run/kiln/mark", source, sourcePath: "/mark" };
}

// A read-only bind of one file: what was at the target, or nothing, is there again after the command.
function fileMount({ target, content }: FileMount, constraints: ConstraintOptions): RunMount {
  const source = scratch().file(mkfile("/file", content, { mode: 0o644, createdTime: 0n }), constraints);
  return { target, source, sourcePath: "/file", readonly: true };
}

function dirMount({ target, files, writable }: DirMount, constraints: ConstraintOptions): RunMount {
  const paths = [...files.keys()].sort();
  const dirs = new Set<string>();
  for (const path of paths) {
    for (let slash = path.indexOf("/"); slash > 0; slash = path.indexOf("/", slash + 1))
      dirs.add(path.slice(0, slash));
  }
  let action: FileAction = mkdir("/dir", { mode: 0o755, createdTime: 0n });
  for (const dir of [...dirs].sort()) action = action.mkdir(`/dir/${dir}`, { mode: 0o755, createdTime: 0n });
  for (const path of paths) {
    action = action.mkfile(`/dir/${path}`, files.get(path) ?? "", { mode: 0o644, createdTime: 0n });
  }
  const source = scratch().file(action, constraints);
  return writable === true
    ? { target, source, sourcePath: "/dir", forceNoOutput: true }
    : { target, source, sourcePath: "/dir", readonly: true };
}

function download(
  { url, sha256 }: { readonly url: string; readonly sha256: string },
  constraints: ConstraintOptions,
): State {
  return http(url, { checksum: `sha256:${sha256}`, filename: "archive", ...constraints });
}

function treeMount({ target, from }: TreeMount, source: State): RunMount {
  return { target, source, sourcePath: from ?? "/", readonly: true };
}

function baseState(
  fact: BaseFact,
  { platform, force }: Facts,
  constraints: (title: string) => ConstraintOptions,
): ChainState {
  const source =
    fact.kind === "registry"
      ? imageSource(fact.ref, { platform, ...constraints(`from ${fact.ref}`) })
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
    force: force?.kind === "replace",
  };
}
