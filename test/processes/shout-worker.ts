import { threadId } from "node:worker_threads";
import { serveWorker } from "../../src/internal/worker-pool.js";

export const worker = serveWorker<string, string>((text) => `${text} ${threadId}`.toUpperCase());
