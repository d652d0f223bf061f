import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { UsageRecord } from "../gen/moby/buildkit/v1/control_pb.js";

/** What a cache record holds, as the daemon names it (BuildKit's `client.UsageRecordType`). */
export type CacheRecordType =
  | "internal"
  | "frontend"
  | "source.local"
  | "source.git.checkout"
  | "exec.cachemount"
  | "regular";

/** One record of a daemon's build cache. */
export interface CacheRecord {
  readonly id: string;
  /** A later daemon may know other types: they come through as they are. */
  readonly type: CacheRecordType | (string & {});
  readonly description: string;
  /** Bytes on the daemon's disk. */
  readonly size: number;
  /** Held by a build that runs, or by a record that is. Such a record is never pruned. */
  readonly inUse: boolean;
  /** Still written to, as cache mounts and local trees are. */
  readonly mutable: boolean;
  /** Also part of an image or container of the daemon's store: pruning it frees nothing. */
  readonly shared: boolean;
  /** Ids of the records that it is made from. */
  readonly parents: readonly string[];
  readonly createdAt: Date | undefined;
  /** `undefined` = never used since it was made. */
  readonly lastUsedAt: Date | undefined;
  readonly usageCount: number;
}

/** The record as the daemon tells it. */
export function cacheRecordFromPb(record: UsageRecord): CacheRecord {
  const { CreatedAt, LastUsedAt, Parents, Parent } = record;
  return {
    id: record.ID,
    type: record.RecordType,
    description: record.Description,
    size: Number(record.Size),
    inUse: record.InUse,
    mutable: record.Mutable,
    shared: record.Shared,
    parents: Parents.length === 0 && Parent !== "" ? [Parent] : Parents,
    createdAt: CreatedAt === undefined ? undefined : timestampDate(CreatedAt),
    lastUsedAt: LastUsedAt === undefined ? undefined : timestampDate(LastUsedAt),
    usageCount: Number(record.UsageCount),
  };
}
