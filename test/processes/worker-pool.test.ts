import { afterEach, expect, test } from "vitest";
import { WorkerPool, workerEntry } from "../../src/internal/worker-pool.js";
import { WorkerThreads, type WorkerThreadsOptions } from "../../src/internal/worker-threads.js";

type Request =
  | { readonly say: string }
  | { readonly fail: string }
  | { readonly exit: number }
  | { readonly hang: true };

const opened: WorkerThreads[] = [];

function threadsOf(options: WorkerThreadsOptions): WorkerThreads {
  const threads = new WorkerThreads(options);
  opened.push(threads);
  return threads;
}

const echo = workerEntry("echo-worker", import.meta.url);

function pool(size = 2): WorkerPool<Request, string> {
  return new WorkerPool<Request, string>(echo, threadsOf({ size }));
}

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

test("tasks run on threads, more than there are threads", async () => {
  const threads = pool();
  const said = await Promise.all(["a", "b", "c", "d", "e"].map((say) => threads.run({ say })));
  expect(said.map((text) => text.split(" ")[0])).toEqual(["a", "b", "c", "d", "e"]);
  expect(new Set(said.map((text) => text.split(" ")[1])).size).toBeLessThanOrEqual(2);
  expect(said.every((text) => text.split(" ")[1] !== "0")).toBe(true);
});

test("what a task throws keeps its message and code, and the thread serves on", async () => {
  const threads = pool(1);
  await expect(threads.run({ fail: "no such thing" })).rejects.toMatchObject({
    message: "no such thing",
    code: "EXAMPLE",
  });
  expect(await threads.run({ say: "still here" })).toContain("still");
});

test("a thread that dies rejects its task alone", async () => {
  const threads = pool(1);
  const [died, next] = await Promise.allSettled([threads.run({ exit: 3 }), threads.run({ say: "x" })]);
  expect(died).toMatchObject({ status: "rejected" });
  expect(next).toMatchObject({ status: "fulfilled" });
});

test("an abort ends a task that runs and one that waits", async () => {
  const threads = pool(1);
  const stop = new AbortController();
  const running = threads.run({ hang: true }, { signal: stop.signal });
  const waiting = threads.run({ say: "never" }, { signal: stop.signal });
  const other = threads.run({ say: "after" });
  stop.abort(new Error("enough"));
  await expect(running).rejects.toThrow("enough");
  await expect(waiting).rejects.toThrow("enough");
  expect(await other).toContain("after");
});

test("a thread that is being ended, idle or by an abort, gets no more tasks", async () => {
  const threads = new WorkerPool<Request, string>(echo, threadsOf({ size: 1, idleMs: 1 }));
  for (let round = 0; round < 20; round += 1) {
    expect(await threads.run({ say: `round-${round}` })).toContain(`round-${round} `);
    const until = performance.now() + 2;
    while (performance.now() < until);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const stop = new AbortController();
  const running = threads.run({ say: "answered" }, { signal: stop.signal });
  stop.abort(new Error("enough"));
  await expect(running).rejects.toThrow("enough");
  expect(await threads.run({ say: "next" })).toContain("next");
});

test("one thread serves tasks of different kinds", async () => {
  const shared = threadsOf({ size: 1 });
  const first = new WorkerPool<Request, string>(echo, shared);
  const second = new WorkerPool<string, string>(workerEntry("shout-worker", import.meta.url), shared);
  const said = await first.run({ say: "hello" });
  expect(await second.run("hello")).toBe(said.toUpperCase());
  expect(await first.run({ say: "hello" })).toBe(said);
});

test("a module that is missing rejects its tasks, and the thread serves on", async () => {
  const shared = threadsOf({ size: 1 });
  const missing = new WorkerPool<string, string>(workerEntry("no-such-worker", import.meta.url), shared);
  await expect(missing.run("hello")).rejects.toThrow(/no-such-worker/);
  expect(await new WorkerPool<Request, string>(echo, shared).run({ say: "hello" })).toContain("hello");
});
