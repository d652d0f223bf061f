import { KilnError } from "../errors.js";

/** The error for bytes that are no definition: where and what. */
export function invalidDefinition(problem: string, cause?: unknown): KilnError {
  return new KilnError("ERR_KILN_INVALID_DEFINITION", `not an LLB definition: ${problem}`, {
    hint: "Pass the bytes of a pb.Definition, as the client libraries and `buildctl debug dump-llb` read them.",
    cause,
  });
}
