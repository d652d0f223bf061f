import { serveWorker } from "../internal/worker-pool.js";
import { packShard } from "./pack-shard.js";

serveWorker(packShard);
