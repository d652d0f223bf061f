import type { CallSite } from "../errors.js";
import type { Definition } from "../llb/definition.js";
import type { PlanCommand } from "../model/plan.js";
import type { ImageConfig } from "../oci/image-config.js";

/** What must be found out of a chain so far before a local tree can be put on top of it as layers. */
export interface LayersQuestion {
  /** Key of the answer in `Facts.ways`. */
  readonly id: string;
  /** Id in `Needs.trees`. */
  readonly tree: string;
  /** The step of the outermost chain that copies. */
  readonly step: number;
  /** Where the tree's contents go: an absolute path in the image. */
  readonly to: string;
  readonly keepMtime: boolean;
  /** The files so far; `undefined` = none. */
  readonly before: Definition | undefined;
  /** The image so far. */
  readonly config: ImageConfig;
  /** The commands of {@link before}, by op digest. */
  readonly commands: ReadonlyMap<string, PlanCommand>;
  /** What history calls the copy. */
  readonly createdBy: string;
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** Thrown by `compile` when `Facts.ways` lacks a copy's: find out, add the answer, compile again. */
export class LayersNeeded extends Error {
  readonly question: LayersQuestion;

  constructor(question: LayersQuestion) {
    super(`${question.title}: it was not decided yet how its files come to the daemon`);
    this.name = "LayersNeeded";
    this.question = question;
  }
}
