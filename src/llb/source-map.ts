import { checkOptions } from "../internal/check-options.js";
import { checkInteger, checkName, checkText, wrongArgument } from "./check-argument.js";
import type { Definition } from "./definition.js";
import { type HasStateProps, isState } from "./state-props.js";

/** A position in a source file. Lines count from 1, characters from 0. */
export interface SourcePosition {
  readonly line: number;
  readonly character?: number | undefined;
}

/** A stretch of a source file; `end` defaults to `start`. */
export interface SourceRange {
  readonly start: SourcePosition;
  readonly end?: SourcePosition | undefined;
}

/** A file that ops were written in. The daemon shows the lines of a failed op from it. */
export interface SourceMap {
  readonly filename: string;
  readonly data: Uint8Array;
  /** Linguist's name of the language, e.g. `TypeScript`. */
  readonly language: string;
  /** A state that holds the file, where there is one. */
  readonly state: HasStateProps | undefined;
  /** A definition of a state that holds the file, where there is one. */
  readonly definition: Definition | undefined;
}

/** Where an op was written. */
export interface SourceLocation {
  readonly sourceMap: SourceMap;
  readonly ranges: readonly SourceRange[];
}

/** Options of {@link sourceMap}. */
export interface SourceMapOptions {
  /** The whole text of the file. */
  readonly data: Uint8Array | string;
  readonly language?: string | undefined;
  readonly state?: HasStateProps | undefined;
  readonly definition?: Definition | undefined;
}

/**
 * A file that ops were written in, for the `location` of an op.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function sourceMap(filename: string, options: SourceMapOptions): SourceMap {
  const call = "sourceMap()";
  checkOptions(call, options, ["data", "language", "state", "definition"]);
  checkName(call, "filename", filename);
  const data = typeof options.data === "string" ? new TextEncoder().encode(options.data) : options.data;
  if (!(data instanceof Uint8Array)) {
    throw wrongArgument(call, "data must be a string or bytes", "Pass the text of the file as data.");
  }
  if (options.state !== undefined && !isState(options.state)) {
    throw wrongArgument(call, "state must be a State", "Pass the state that holds the file.");
  }
  return Object.freeze({
    filename,
    data: Uint8Array.from(data),
    language: options.language === undefined ? "" : checkText(call, "language", options.language),
    state: options.state,
    definition: options.definition,
  });
}

/** Checks and copies locations given with an op. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkLocations(
  call: string,
  value: SourceLocation | readonly SourceLocation[],
): readonly SourceLocation[] {
  const list = Array.isArray(value) ? (value as readonly SourceLocation[]) : [value as SourceLocation];
  return list.map((location) => {
    checkOptions(`${call} location`, location, ["sourceMap", "ranges"]);
    if (!(location.sourceMap?.data instanceof Uint8Array) || !Array.isArray(location.ranges)) {
      throw wrongArgument(
        call,
        "location needs a sourceMap and ranges",
        "Write location: { sourceMap, ranges: [{ start: { line: 1 } }] }.",
      );
    }
    return {
      sourceMap: location.sourceMap,
      ranges: location.ranges.map(({ start, end }) => ({
        start: checkPosition(call, start),
        end: checkPosition(call, end ?? start),
      })),
    };
  });
}

function checkPosition(call: string, position: SourcePosition): SourcePosition {
  return {
    line: checkInteger(call, "location line", position?.line, 0, 0x7fffffff),
    character: checkInteger(call, "location character", position?.character ?? 0, 0, 0x7fffffff),
  };
}
