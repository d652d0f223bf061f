export type { CacheFilter } from "../solver/cache-filter.js";
export type { CacheRecord } from "../solver/cache-record.js";
export type { Client } from "../solver/client.js";
export type { HistoryAttestation, HistoryBlob, HistoryRecord } from "../solver/history-record.js";
