import type * as pb from "../gen/pb/ops_pb.js";

/** An `int64` or `uint64` of the protocol: a number where it is exact, else a bigint. */
export type Int64 = number | bigint;

/** A text of the form `key=value`, not joined yet: long chains say the same ones again and again. */
export interface PairText {
  readonly key: string;
  readonly value: string;
}

/** At least one text, joined by NUL, which none of them contains: one piece of memory for all words of a command. */
export interface JoinedTexts {
  readonly joined: string;
}

/**
 * The fields of a protobuf message as plain data: every field may be left out, integers of 64 bits may be numbers.
 *
 * A generated message is such a value too, so that one encoder serves both.
 */
export type Fields<T> = T extends bigint
  ? Int64
  : T extends number
    ? number
    : T extends string | boolean | Uint8Array | undefined
      ? T
      : T extends readonly (infer Item)[]
        ? readonly Fields<Item>[]
        : T extends { readonly case: infer Case; readonly value: infer Value }
          ? { readonly case: Case; readonly value: Fields<Value> }
          : T extends { case: undefined }
            ? { readonly case?: undefined; readonly value?: undefined }
            : {
                readonly [Key in Exclude<keyof T, "$typeName" | "$unknown">]?:
                  | (T extends pb.Meta ? MetaField<Key, T[Key]> : Fields<T[Key]>)
                  | undefined;
              };

/** Words and variables of a command are also taken in the shapes in which they cost a long chain least. */
type MetaField<Key, Value> = Key extends "env"
  ? readonly (string | PairText)[]
  : Key extends "args"
    ? readonly string[] | JoinedTexts
    : Fields<Value>;

/** Fields of `pb.Op`: one vertex of the graph. */
export type OpFields = Fields<pb.Op>;
/** Fields of `pb.Input`: one edge of the graph. */
export type InputFields = Fields<pb.Input>;
/** Fields of `pb.ExecOp`. */
export type ExecFields = Fields<pb.ExecOp>;
/** Fields of `pb.Mount`. */
export type MountFields = Fields<pb.Mount>;
/** Fields of `pb.FileOp`. */
export type FileFields = Fields<pb.FileOp>;
/** Fields of `pb.FileAction`. */
export type FileActionFields = Fields<pb.FileAction>;
/** Fields of `pb.ChownOpt`. */
export type ChownFields = Fields<pb.ChownOpt>;
/** Fields of `pb.UserOpt`. */
export type UserFields = Fields<pb.UserOpt>;
/** Fields of `pb.Platform`. */
export type PlatformFields = Fields<pb.Platform>;
/** Fields of `pb.OpMetadata`. */
export type OpMetadataFields = Fields<pb.OpMetadata>;
/** Fields of `pb.Source`: the source maps of a definition. */
export type SourceMapFields = Fields<pb.Source>;
/** Fields of `pb.SourceInfo`. */
export type SourceInfoFields = Fields<pb.SourceInfo>;
/** Fields of `pb.Definition`. */
export type DefinitionFields = Fields<pb.Definition>;
