import { hash } from "node:crypto";
import { KilnError } from "../errors.js";
import type * as pb from "../gen/pb/ops_pb.js";
import type { Definition } from "./definition.js";
import type { DefinitionFields, Fields, SourceInfoFields, SourceMapFields } from "./op-fields.js";
import type { SourceLocation, SourceMap } from "./source-map.js";
import type { HasStateProps } from "./state-props.js";

type LocationFields = Fields<pb.Location>;

/** Collects the source maps of a graph while it is marshalled; maps of equal content become one. */
export class SourceMapCollector {
  readonly #maps: SourceMap[] = [];
  readonly #numbers = new Map<SourceMap, number>();
  readonly #numbersByContent = new Map<string, number>();
  readonly #locations = new Map<string, LocationFields[]>();

  /** Adds where an op was written. */
  add(digest: string, locations: readonly SourceLocation[]): void {
    if (locations.length === 0) return;
    const list = this.#locations.get(digest) ?? [];
    for (const { sourceMap, ranges } of locations) {
      list.push({
        sourceIndex: this.#numberOf(sourceMap),
        ranges: ranges as NonNullable<LocationFields["ranges"]>,
      });
    }
    this.#locations.set(digest, list);
  }

  /** All maps and locations; `undefined` if there are none. `marshal` is for states that hold a source file. */
  finish(marshal: (state: HasStateProps) => Definition): SourceMapFields | undefined {
    if (this.#locations.size === 0) return undefined;
    const infos = this.#maps.map((map): SourceInfoFields => {
      const definition = map.definition ?? (map.state === undefined ? undefined : marshal(map.state));
      return {
        filename: map.filename,
        data: map.data,
        language: map.language,
        ...(definition === undefined ? {} : { definition: definitionFields(definition) }),
      };
    });
    const locations = Object.fromEntries(
      [...this.#locations].map(([digest, list]) => [digest, { locations: list }]),
    );
    return { locations, infos };
  }

  #numberOf(map: SourceMap): number {
    let number = this.#numbers.get(map);
    if (number !== undefined) return number;
    const content = JSON.stringify([map.filename, map.language, hash("sha256", map.data)]);
    number = this.#numbersByContent.get(content) ?? this.#maps.push(map) - 1;
    this.#numbers.set(map, number);
    this.#numbersByContent.set(content, number);
    return number;
  }
}

/** The error for a source map whose state was itself written in that source map. */
export function circularSourceMap(): KilnError {
  return new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    "marshal(): the state of a source map refers back to the map",
    {
      hint: "Leave out the location of the ops that hold the source file.",
    },
  );
}

function definitionFields(definition: Definition): DefinitionFields {
  return {
    def: definition.ops.map(({ bytes }) => bytes),
    metadata: Object.fromEntries(definition.metadata),
    Source: definition.source,
  };
}
