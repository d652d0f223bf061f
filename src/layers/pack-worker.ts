import { serveWorker } from "../internal/worker-pool.js";
import { packShard } from "./pack-shard.js";

/** Packs shards in a thread. */
export const worker = serveWorker(packShard);
