import type { Annotation } from "../engine/command-line.js";
import type { Output } from "../engine/outputs.js";
import { parsePlatform } from "../engine/platforms.js";
import { wrongFlag } from "./spec-fields.js";

const flag = "--annotation";
const levels = ["manifest", "index", "manifest-descriptor", "index-descriptor"] as const;
const hint = `E.g. ${flag} org.opencontainers.image.title=app or ${flag} index,manifest:KEY=VALUE; levels: ${levels.join(", ")}.`;

/**
 * Reads one `--annotation`: `KEY=VALUE` for the manifest, `LEVEL[PLATFORM],…:KEY=VALUE` for others. Throws
 * `ERR_KILN_INVALID_ARGUMENT` with the levels.
 */
export function parseAnnotation(text: string): readonly Annotation[] {
  const equals = text.indexOf("=");
  if (equals < 1) throw wrongFlag(flag, `"${text}" is no KEY=VALUE`, hint);
  const left = text.slice(0, equals);
  const value = text.slice(equals + 1);
  // A key may hold a colon itself.
  const prefix = /^((?:[a-z-]+(?:\[[^\]]*\])?,?)+):(.+)$/.exec(left);
  if (prefix === null) return [{ key: left, value }];
  const [, places = "", key = ""] = prefix;
  return places.split(",").map((place): Annotation => {
    const [, level = "", platform] = /^([a-z-]+)(?:\[([^\]]*)\])?$/.exec(place) ?? [];
    const on = levels.find((one) => one === level);
    if (on === undefined) throw wrongFlag(flag, `there is no level "${place}"`, hint);
    return { key, value, on, ...(platform === undefined ? {} : { platform: parsePlatform(platform) }) };
  });
}

/** Whether an output is an image, not files alone. */
export function isImage(output: Output): boolean {
  return output.type !== "local" && output.type !== "tar";
}
