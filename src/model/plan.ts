import type { CallSite } from "../errors.js";
import type { Definition } from "../llb/definition.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { Platform } from "../oci/platform.js";
import type { PlanCopy } from "./tree-way.js";

/** One step of the chain as it appears in progress, errors and records. */
export interface PlanStep {
  /** 0-based position in the chain. */
  readonly index: number;
  /** The step definition's id, e.g. `runCommands`. */
  readonly id: string;
  /** One line for people, e.g. `runCommands git clone …`. */
  readonly title: string;
  /** The user's call. */
  readonly location: CallSite | undefined;
  /** Digests of the ops this step became; empty for a step that only changes the config. */
  readonly vertices: readonly string[];
  /** Those of them that bring something in (a base, local files) rather than make something of it. */
  readonly sources: readonly string[];
  /** The step fails when its ops run longer than this, all together; `undefined` = no limit. */
  readonly timeoutMs: number | undefined;
}

/** A command that an op runs, so that its failure can name it. */
export interface PlanCommand {
  readonly step: number;
  /** As the user wrote it where there is such a thing, else the argv joined. */
  readonly command: string;
}

/** A chain compiled for one platform and one daemon's facts: plain data, no I/O left to decide. */
export interface Plan {
  readonly platform: Platform;
  /** `undefined` = an empty (scratch) result. */
  readonly definition: Definition | undefined;
  /** The result's image config, without `rootfs` (the exporter fills that in). */
  readonly config: ImageConfig;
  /** The base's own config, for exporters that must tell base layers from new ones. */
  readonly baseConfig: ImageConfig | undefined;
  readonly steps: readonly PlanStep[];
  /** Keyed by op digest. */
  readonly commands: ReadonlyMap<string, PlanCommand>;
  /** Copies of local trees' contents, in the order of the chain. */
  readonly copies: readonly PlanCopy[];
  /** Ids (in `Needs.trees`) of the local trees that the definition reads. */
  readonly trees: readonly string[];
  /** Ids (in `Needs.bases`) of the OCI layouts that the session must serve. */
  readonly layouts: readonly string[];
  /** The plan as text, alike on every machine: what it would run, and the image's config. */
  toSnapshot(): string;
}
