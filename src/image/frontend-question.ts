import type { CallSite } from "../errors.js";
import type { ConstraintOptions } from "../llb/constraints.js";
import type { Definition } from "../llb/definition.js";
import { mkdir } from "../llb/file-action.js";
import { marshal } from "../llb/marshal.js";
import { type State, scratch } from "../llb/state.js";
import type { ImageConfig } from "../oci/image-config.js";
import { formatPlatform, type Platform } from "../oci/platform.js";
import { type ChainState, withLayerHistory } from "./chain-state.js";
import { imageConfigOf } from "./image-config-of.js";
import type { DockerfileRequest } from "./lower-context.js";

/** What must be asked of the daemon's Dockerfile frontend before a chain can be compiled. */
export interface FrontendQuestion {
  /** Key of the answer in `Facts.frontends`. */
  readonly id: string;
  /** The Dockerfile. */
  readonly text: string;
  /** BuildKit's options of `dockerfile.v0`. */
  readonly options: Readonly<Record<string, string>>;
  /** Graphs that the options name, and the Dockerfile itself. */
  readonly inputs: Readonly<Record<string, Definition>>;
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** Thrown by `compile` when a frontend's answer is missing from the facts: ask, add the answer, compile again. */
export class FrontendNeeded extends Error {
  readonly question: FrontendQuestion;

  constructor(question: FrontendQuestion) {
    super(`${question.title}: the Dockerfile frontend was not asked yet`);
    this.name = "FrontendNeeded";
    this.question = question;
  }
}

/** A chain so far, as the base of a Dockerfile. */
export interface FrontendBase {
  readonly name: string;
  readonly definition: Definition;
  readonly config: ImageConfig;
}

/** What `FROM` of a name means: the chain so far. */
export function frontendBase(name: string, chain: ChainState, platform: Platform): FrontendBase {
  const definition = marshal(chain.state, { platform });
  if (definition.ops.length > 0) return { name, definition, config: imageConfigOf(chain, platform) };
  // Frontends take no empty graphs.
  return {
    name,
    definition: marshal(emptyDirectory(), { platform }),
    config: imageConfigOf(withLayerHistory(chain, "FROM scratch"), platform),
  };
}

/** The frontend's own name of the local tree that COPY and ADD read. */
export const frontendContext = "local://context";

const baseInput = "kiln-base";

/** The question that a step's request is. */
export function frontendQuestion(
  request: DockerfileRequest,
  use: {
    readonly id: string;
    readonly base: FrontendBase | undefined;
    readonly platform: Platform;
    readonly sourceDateEpoch: number | undefined;
    readonly title: string;
    readonly location: CallSite | undefined;
  },
): FrontendQuestion {
  const { id, base, platform, sourceDateEpoch, title, location } = use;
  const text = typeof request.text === "string" ? request.text : new TextDecoder().decode(request.text);
  const { path, definition } = dockerfileInput(text, request.filename ?? "Dockerfile");
  const epoch = sourceDateEpoch === undefined ? {} : { SOURCE_DATE_EPOCH: String(sourceDateEpoch) };
  const buildArgs = Object.entries({ ...epoch, ...request.buildArgs });
  return {
    id,
    text,
    options: {
      filename: path,
      platform: formatPlatform(platform),
      ...(request.target === undefined ? {} : { target: request.target }),
      ...Object.fromEntries(buildArgs.map(([name, value]) => [`build-arg:${name}`, value])),
      ...(base === undefined
        ? {}
        : {
            [`context:${base.name}`]: `input:${baseInput}`,
            [`input-metadata:${baseInput}`]: JSON.stringify({
              "containerimage.config": Buffer.from(JSON.stringify(base.config)).toString("base64"),
            }),
          }),
    },
    inputs: {
      dockerfile: definition,
      ...(request.context === undefined ? { context: marshal(emptyDirectory()) } : {}),
      ...(base === undefined ? {} : { [baseInput]: base.definition }),
    },
    title,
    location,
  };
}

/** The Dockerfile as a graph, with a `.dockerignore` of its own: what is left out of the context is decided here. */
function dockerfileInput(
  text: string,
  filename: string,
): { readonly path: string; readonly definition: Definition } {
  const parts = filename.split("/").filter((part) => part !== "" && part !== ".");
  const plain = parts.length > 0 && !parts.includes("..") && !filename.startsWith("/");
  const path = plain ? parts.join("/") : (parts.at(-1) ?? "Dockerfile").replace(/^\.\.$/, "Dockerfile");
  const directory = path.split("/").slice(0, -1).join("/");
  const options: ConstraintOptions = { customName: `load ${path}` };
  const made = mkdir(`/${directory}`, { makeParents: true })
    .mkfile(`/${path}`, text)
    .mkfile(`/${path}.dockerignore`, "# none\n");
  return { path, definition: marshal(scratch().file(made, options)) };
}

function emptyDirectory(): State {
  return scratch().file(mkdir("/", { mode: 0o755, makeParents: true, createdTime: 0n }));
}
