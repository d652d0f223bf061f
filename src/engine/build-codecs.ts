import type { SharedRunCodecs } from "../cache/sharing/run-journal.js";
import { fromJsonData, toJsonData } from "../internal/rich-json.js";
import type { BuildEvent } from "../model/events.js";
import { decodeError, encodeError } from "../solver/solve-error-json.js";
import type { BuildResult } from "./build.js";

/** How builds are told to other processes that asked for the same one. */
export const buildCodecs: SharedRunCodecs<BuildResult, BuildEvent> = {
  result: {
    encode: toJsonData,
    decode(data) {
      const result = fromJsonData(data);
      if (!isBuildResult(result)) throw new TypeError("data is no build's result");
      return result;
    },
  },
  event: {
    encode: toJsonData,
    decode(data) {
      const event = fromJsonData(data);
      if (!isBuildEvent(event)) throw new TypeError("data is no build's event");
      return event;
    },
  },
  error: { encode: encodeError, decode: decodeError },
};

// The writer is this package, and each line has a checksum: this tells apart versions, not enemies.
function isBuildResult(value: unknown): value is BuildResult {
  return (
    typeof value === "object" &&
    value !== null &&
    "ref" in value &&
    typeof value.ref === "string" &&
    "outputs" in value &&
    Array.isArray(value.outputs) &&
    "cache" in value &&
    typeof value.cache === "object"
  );
}

function isBuildEvent(value: unknown): value is BuildEvent {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}
