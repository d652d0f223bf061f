import { threadId } from "node:worker_threads";
import { serveWorker } from "../../src/internal/worker-pool.js";

type Request =
  | { readonly say: string }
  | { readonly fail: string }
  | { readonly exit: number }
  | { readonly hang: true };

export const worker = serveWorker<Request, string>((request) => {
  if ("say" in request) return `${request.say} ${threadId}`;
  if ("fail" in request) throw Object.assign(new Error(request.fail), { code: "EXAMPLE" });
  if ("exit" in request) process.exit(request.exit);
  return new Promise(() => {});
});
