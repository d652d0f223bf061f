import type { FinishedResult } from "../session/exporter.js";
import type { Output } from "./outputs.js";

/** Chooses what is written of a result, from its metadata and the ids of its filesystems. */
export type OutputChooser = (result: FinishedResult) => readonly Output[] | Promise<readonly Output[]>;
