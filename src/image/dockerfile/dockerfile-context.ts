import { KilnError } from "../../errors.js";
import { caAptSettings, caBundlePath, caVariables } from "../ca-mounts.js";
import type { ChainState } from "../chain-state.js";
import { applyConfig } from "../config-change.js";
import type { AppliedStep, StepNeeds } from "../define-step.js";
import type { DirMount, FileMount, LowerContext, RunRequest, TreeMount } from "../lower-context.js";
import { configInstruction } from "./config-instruction.js";
import { copyInstruction, type LocalTree, localTree } from "./copy-instruction.js";
import { inlineDockerfile } from "./inline-dockerfile.js";
import { jsonForm } from "./quote-words.js";
import {
  emptyChain,
  isPlainPath,
  nameStage,
  type Recorded,
  type Rendering,
  recordedOf,
  stateOf,
} from "./recorded.js";
import { heredocWord, runInstruction } from "./run-instruction.js";
import { type SecretNames, secretFlags } from "./secret-flags.js";

/** The context that writes a step down as instructions. */
export function dockerfileContext(step: AppliedStep, needs: StepNeeds, rendering: Rendering): LowerContext {
  const { stages, platform, builder } = rendering;
  const unsupported = (why: string, hint: string): KilnError =>
    new KilnError("ERR_KILN_UNSUPPORTED", `${step.title}: ${why}`, { hint, location: step.location });
  const lookUp = <T>(map: Readonly<Record<string, T>> | undefined, key: string): T => {
    const found = map?.[key];
    if (found !== undefined) return found;
    throw new KilnError(
      "ERR_KILN_INVALID_ARGUMENT",
      `${step.id}: the step asks for "${key}", which it did not name in needs`,
      { location: step.location },
    );
  };
  const recordOf = (chain: ChainState): Recorded => recordedOf(chain, step, rendering);
  const add = (chain: ChainState, text: string, changes: Partial<Recorded> = {}): ChainState => {
    const recorded = recordOf(chain);
    const lines = { before: recorded.lines, text };
    return stateOf({ ...recorded, lines, ...changes }, chain, rendering);
  };
  const asRoot = (chain: ChainState): ChainState => {
    const { user } = recordOf(chain);
    // By its number: the image may have no list of users.
    return user === undefined || isRoot(user) ? chain : add(chain, "USER 0", { user: "0" });
  };
  /** What `FROM` and `from=` call one of the step's images. */
  const imageName = (key: string): string => {
    const base = needs.bases?.[key];
    if (base?.kind === "registry") return base.ref;
    const recorded = recordOf(base === undefined ? image(key) : context.base(key));
    return nameStage(recorded, stages);
  };
  const image = (key: string): ChainState =>
    needs.bases?.[key] === undefined ? rendering.chain(lookUp(needs.images, key)) : context.base(key);
  const tree = (key: string): LocalTree => localTree(lookUp(needs.trees, key), { step, needs, rendering });

  const context: LowerContext = {
    platform,
    builder,
    constraints() {
      throw unsupported(
        `the step ${step.id} adds ops of its own, which no Dockerfile can hold`,
        "Write the step with the context's helpers (run, copyTree, copyImage, configure).",
      );
    },
    file(key) {
      const need = lookUp(needs.files, key);
      const found = rendering.file(need.path, step);
      if (found !== undefined || need.optional === true) return found;
      throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `${step.title}: there is no file ${need.path}`, {
        hint: "Check the path, and what readFile makes of it.",
        location: step.location,
      });
    },
    listing: (key) => rendering.listing(lookUp(needs.listings, key), step),
    base(key) {
      const base = lookUp(needs.bases, key);
      const user = rendering.baseUser;
      const begun = (from: string): ChainState =>
        stateOf(
          { ...{ from, lines: undefined, user, configUser: user }, ...{ shell: undefined, cmd: undefined } },
          emptyChain(),
          rendering,
        );
      if (base.kind === "registry") return begun(base.ref);
      if (base.kind !== "oci-layout") {
        throw unsupported(
          `no FROM can name the base of ${step.id}`,
          "Push the base's image to a registry and start from that.",
        );
      }
      const name = stages.newName("kiln-base");
      const ref =
        base.ref === undefined ? "" : base.ref.startsWith("sha256:") ? `@${base.ref}` : `:${base.ref}`;
      stages.addFlag(`--build-context ${name}=oci-layout://${base.path}${ref}`);
      return begun(name);
    },
    image,
    configure(chain, change) {
      const next = applyConfig(chain, change);
      const recorded = recordOf(chain);
      const changed = (instruction: string, changes: Partial<Recorded> = {}): ChainState => {
        // A directory is made as the user that is set.
        const from = change.kind === "workdir" ? recordOf(asRoot(chain)) : recorded;
        const lines = { before: from.lines, text: instruction };
        return stateOf({ ...from, lines, ...changes }, next, rendering);
      };
      if (change.kind === "user") {
        return stateOf({ ...recorded, configUser: change.user }, next, rendering);
      }
      const instruction = configInstruction(change);
      if (typeof instruction !== "string") {
        throw unsupported(`no Dockerfile can say it: ${instruction.why}`, "Leave the line break out.");
      }
      switch (change.kind) {
        case "shell":
          return changed(instruction, { shell: change.argv });
        case "cmd":
          return changed(instruction, { cmd: { text: instruction, from: recorded.from } });
        case "entrypoint": {
          const { cmd, from } = recorded;
          if (cmd === undefined || cmd.from === from) return changed(instruction);
          return changed(`${instruction}\n${cmd.text}`, { cmd: { ...cmd, from } });
        }
        default:
          return changed(instruction);
      }
    },
    run(chain, request) {
      const rooted = asRoot(chain);
      const secrets = secretsOf(step, rendering);
      const env = [...secrets.env, ...(request.env ?? []), ...(step.options?.env ?? [])];
      const wrong = env.find(([key]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(key));
      if (wrong !== undefined) {
        throw unsupported(
          `no shell can set the variable ${JSON.stringify(wrong[0])}`,
          "Give it another name.",
        );
      }
      const flags = [...mountFlags(request), ...secrets.flags, ...deviceFlags()];
      const text = runInstruction(request, { flags, env, dir: request.dir, shell: recordOf(rooted).shell });
      return add(rooted, text);
    },
    copyTree(chain, request) {
      return add(chain, copyInstruction(tree(request.tree), request));
    },
    copyImage(chain, { image: key, from, to }) {
      const words = [from, to].every(isPlainPath)
        ? `${from} ${to}`
        : jsonForm([from, to].map((path) => path.replaceAll("$", "\\$")));
      if (/[*?[\]\\]/.test(from))
        throw unsupported(`COPY would read ${from} as a pattern`, "Copy its directory.");
      return add(chain, `COPY --from=${imageName(key)} ${words}`);
    },
    copyArchive(chain, { archive, from, to }) {
      const source = "url" in archive ? archive.url : join(tree(archive.tree).path, archive.path);
      if (![source, from, to].every(isPlainPath)) {
        throw unsupported("no ADD and COPY can name its archive and paths", "Take plain paths.");
      }
      // By itself, ADD unpacks what is local and not what it downloads.
      const flags = "url" in archive ? ` --checksum=sha256:${archive.sha256} --unpack=true` : "";
      const unpacked = stages.shared("kiln-archive", [`ADD${flags} ${source} /`]);
      return add(chain, `COPY --from=${unpacked} --chown=0:0 ${from.replace(/\/$/, "")}/ ${to}/`);
    },
    dockerfile(chain, request) {
      const recorded = recordOf(chain);
      const context = request.context === undefined ? undefined : lookUp(needs.trees, request.context);
      const made = inlineDockerfile(recorded, request, {
        ...{ step, needs, rendering, context },
      });
      return stateOf(made, { ...chain, config: { ...chain.config } }, rendering);
    },
  };

  function mountFlags(request: RunRequest): readonly string[] {
    return [
      ...(request.caches ?? []).map(({ target, id, sharing }) =>
        mount({ type: "cache", target, id, sharing }),
      ),
      ...fileFlags(request.files ?? []),
      ...dirFlags(request.dirs ?? []),
      ...(request.images ?? []).map(({ image: key, from, target }) =>
        mount({ type: "bind", from: imageName(key), source: from, target }),
      ),
      ...(request.trees ?? []).map(treeFlag),
      ...(request.tmpfs ?? []).map((target) => mount({ type: "tmpfs", target })),
    ];
  }

  function fileFlags(files: readonly FileMount[]): readonly string[] {
    if (files.length === 0) return [];
    const from = stages.shared(
      "kiln-files",
      files.flatMap(({ content }, index) => heredocCopy(content, `/${index}`)),
    );
    return files.map(({ target }, index) => mount({ type: "bind", from, source: `/${index}`, target }));
  }

  function dirFlags(dirs: readonly DirMount[]): readonly string[] {
    return dirs.map(({ target, files, writable }) => {
      const paths = [...files.keys()].sort();
      const lines = [
        "WORKDIR /dir",
        ...paths.flatMap((path) => heredocCopy(files.get(path) ?? "", `/dir/${path}`)),
      ];
      const from = stages.shared("kiln-files", lines);
      return mount({ type: "bind", from, source: "/dir", target }, writable === true ? ["rw"] : []);
    });
  }

  function treeFlag({ target, tree: key, from = "/" }: TreeMount): string {
    const found = tree(key);
    if (found.kind === "file") return mount({ type: "bind", source: found.path, target });
    if (found.flags.length === 0) return mount({ type: "bind", source: join(found.path, from), target });
    const stage = stages.shared("kiln-tree", [
      copyInstruction(found, { from: "/", to: "/", contents: true }),
    ]);
    return mount({ type: "bind", from: stage, source: from, target });
  }

  function heredocCopy(content: string | Uint8Array, to: string): readonly string[] {
    const text = typeof content === "string" ? content : new TextDecoder("utf-8").decode(content);
    const isText = typeof content === "string" || Buffer.from(text).equals(content);
    if (!isText || /\0|\r(?!\n)/.test(text)) {
      throw unsupported(`a file that it mounts at ${to} is no text`, "A Dockerfile can hold text alone.");
    }
    if (!isPlainPath(to)) throw unsupported(`no COPY can name the file ${to}`, "Rename it.");
    const body = text === "" || text.endsWith("\n") ? text : `${text}\n`;
    const word = heredocWord(body.split(/\r?\n/));
    return [`COPY <<'${word}' ${to}\n${body}${word}`];
  }

  function mount(fields: Readonly<Record<string, string>>, more: readonly string[] = []): string {
    for (const [key, value] of Object.entries(fields)) {
      if (isPlainPath(value)) continue;
      throw unsupported(`no mount can have ${JSON.stringify(value)} as its ${key}`, "Take a plain path.");
    }
    const written = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
    return `--mount=${[...written, ...more].join(",")}`;
  }

  function deviceFlags(): readonly string[] {
    const gpu = step.options?.gpu;
    if (gpu === undefined) return [];
    if (rendering.knowsDevices) return [`--device=${gpu}`];
    throw unsupported(
      `RUN --device, which it needs for ${gpu}, is in no Dockerfile frontend that is not experimental`,
      'Pass toDockerfile({ syntax: "docker/dockerfile:1-labs" }).',
    );
  }

  function secretsOf(
    of: AppliedStep,
    on: Rendering,
  ): { readonly flags: readonly string[]; readonly env: readonly (readonly [string, string])[] } {
    const names: SecretNames = { stages: on.stages, file: (path) => on.file(path, of) };
    const flags = secretFlags(of, names);
    const ca = of.options?.caBundle;
    if (typeof ca !== "string") return { flags, env: [] };
    const id = stages.secretId("ca", ca);
    stages.addFlag(`--secret id=${id},src=${ca}`);
    const settings = fileFlags([{ target: caAptSettings.path, content: caAptSettings.content }]);
    return {
      flags: [
        ...flags,
        `--mount=type=secret,id=${id},target=${caBundlePath},mode=0444,required=true`,
        ...settings,
      ],
      env: [
        ...caVariables.map((name) => [name, caBundlePath] as const),
        [caAptSettings.variable, caAptSettings.path],
      ],
    };
  }

  return context;
}

function isRoot(user: string): boolean {
  return /^(?:root|0)(?::|$)/.test(user);
}

function join(root: string, path: string): string {
  const rest = path.replace(/^\/+/, "");
  return rest === "" ? root : root === "." ? rest : `${root}/${rest}`;
}
