import { normalizePlatform, type Platform } from "../oci/platform.js";
import { wrongArgument } from "./check-argument.js";
import { EnvList } from "./env-list.js";
import type { GrowingList } from "./growing-list.js";
import { type Output, whyUnusable } from "./vertex.js";

/** A name that a command finds in its `/etc/hosts`. */
export interface ExtraHost {
  readonly host: string;
  /** The address in its shortest form. */
  readonly ip: string;
}

/** One resource limit of a command. */
export interface Ulimit {
  readonly name: string;
  readonly soft: number | bigint;
  readonly hard: number | bigint;
}

/** How the commands of a state run, beyond their environment. */
export interface ContainerMeta {
  readonly dir: string;
  readonly user: string;
  readonly hostname: string;
  /** Number of `pb.NetMode`. */
  readonly network: number;
  /** Number of `pb.SecurityMode`. */
  readonly security: number;
  readonly extraHosts: GrowingList<ExtraHost> | undefined;
  readonly ulimits: GrowingList<Ulimit> | undefined;
  readonly cgroupParent: string;
  readonly validExitCodes: readonly number[];
  /** Normalised. */
  readonly platform: Platform | undefined;
}

/**
 * What a state carries beside its filesystem: the surroundings of the commands that start from it.
 *
 * What mostly stays the same along a chain is an object of its own, shared by the states of the chain.
 */
export interface StateMeta {
  readonly env: EnvList;
  readonly container: ContainerMeta;
}

/** All of a state: a filesystem (`undefined` = empty) and its surroundings. */
export interface StateProps {
  readonly output: Output | undefined;
  readonly meta: StateMeta;
}

/** The key under which a state hands its props to the other files of this room, also across copies of the package. */
export const stateProps: unique symbol = Symbol.for("kiln-engine.llb.state");

/** Anything that carries state props. */
export interface HasStateProps {
  readonly [stateProps]: StateProps;
}

const startMeta: StateMeta = Object.freeze({
  env: EnvList.empty,
  container: Object.freeze({
    dir: "/",
    user: "",
    hostname: "",
    network: 0,
    security: 0,
    extraHosts: undefined,
    ulimits: undefined,
    cgroupParent: "",
    validExitCodes: Object.freeze([]),
    platform: undefined,
  }),
});

/** Surroundings with some of what commands run in changed. */
export function withContainer(meta: StateMeta, change: Partial<ContainerMeta>): StateMeta {
  return { env: meta.env, container: { ...meta.container, ...change } };
}

/** Props of a fresh state of some output: working directory `/`, the output's platform if it has one. */
export function startProps(output: Output | undefined): StateProps {
  return withOutput(startMeta, output);
}

/** Surroundings carried over to another output, whose own platform wins. */
export function withOutput(meta: StateMeta, output: Output | undefined): StateProps {
  const platform = output?.platform;
  return platform === undefined
    ? { output, meta }
    : { output, meta: withContainer(meta, { platform: normalizePlatform(platform) }) };
}

/** Whether a value is a state. */
export function isState(value: unknown): value is HasStateProps {
  return typeof value === "object" && value !== null && stateProps in value;
}

/**
 * The output of a state that is to be an input of `call`.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` if the value is no state, or if its output cannot be built on.
 */
export function inputOf(call: string, name: string, value: unknown): Output | undefined {
  return usableOutput(call, name, propsOf(call, name, value).output);
}

/** The props of a state given as an argument of `call`. Throws `ERR_KILN_INVALID_ARGUMENT` if it is none. */
export function propsOf(call: string, name: string, value: unknown): StateProps {
  if (isState(value)) return value[stateProps];
  throw wrongArgument(
    call,
    `${name} must be a State`,
    "Pass the result of image(), scratch(), local() or of another state's method; of run(), pass .root().",
  );
}

/** The output, unless nothing may be built on it. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function usableOutput(call: string, name: string, output: Output | undefined): Output | undefined {
  const why = output === undefined ? undefined : whyUnusable(output);
  if (why === undefined) return output;
  throw wrongArgument(
    call,
    `${name} cannot be used: ${why}`,
    "Mount it writable, without tmpfs, cache and forceNoOutput, to keep what the command writes there.",
  );
}
