import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withDirectoryLock } from "../../src/internal/directory-lock.js";
import { isRunning, processMark } from "../../src/internal/process-mark.js";
import { makeScratchDirectory } from "../../src/internal/scratch-directory.js";
import { bundleModule } from "../unit/internal/bundle-module.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-lock-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** A process that has begun and ended; its mark is that of one that is no more. */
async function deadMark(): Promise<string> {
  const module = await bundleModule("internal/process-mark.ts", dir);
  const script = `import { processMark } from ${JSON.stringify(module)}; process.stdout.write(processMark());`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  let mark = "";
  child.stdout.on("data", (data) => {
    mark += String(data);
  });
  await once(child, "close");
  return mark;
}

const foreignMark = "0123456789ab.1.1";

describe("a process's mark", () => {
  it("tells the running from those that are over, and from those that cannot be known", async () => {
    const own = processMark();
    expect(isRunning(own)).toBe(true);
    expect(isRunning(await deadMark())).toBe(false);
    expect(isRunning(foreignMark)).toBeUndefined();
    expect(isRunning("")).toBeUndefined();
    expect(isRunning("new.thing")).toBeUndefined();
  });

  it.runIf(process.platform === "linux")("is not taken over by a later process of the same number", () => {
    const [scope, pid, start] = processMark().split(".");
    expect(Number(start)).toBeGreaterThan(0);
    expect(isRunning(`${scope}.${pid}.${Number(start) - 1}`)).toBe(false);
  });
});

describe("scratch directories", () => {
  it("of processes that are no more are removed, others stay", async () => {
    const parent = join(dir, "scratch");
    const dead = join(parent, `${await deadMark()}.abc`);
    const foreign = join(parent, `${foreignMark}.abc`);
    mkdirSync(join(dead, "deep"), { recursive: true });
    mkdirSync(foreign);
    const first = await makeScratchDirectory(parent);
    const second = await makeScratchDirectory(parent);
    expect([dead, foreign, first, second].map((path) => existsSync(path))).toEqual([false, true, true, true]);
  });
});

describe("a lock in a directory", () => {
  it("lets one caller in at a time", async () => {
    let inside = 0;
    let most = 0;
    let turns = 0;
    const work = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setTimeout(resolve, 1));
      turns += 1;
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 20 }, () => withDirectoryLock(join(dir, "lock"), work)));
    expect({ most, turns }).toEqual({ most: 1, turns: 20 });
    expect(readdirSync(join(dir, "lock")).sort()).toEqual([expect.stringMatching(/^\d+$/), "new"]);
    expect(readdirSync(join(dir, "lock", "new"))).toEqual([]);
  });

  it("is given back when the task fails", async () => {
    const failed = withDirectoryLock(dir, () => Promise.reject(new Error("no")));
    await expect(failed).rejects.toThrow("no");
    expect(await withDirectoryLock(dir, () => Promise.resolve("in"), { waitMs: 0 })).toBe("in");
  });

  it("of a process that is no more is taken over at once", async () => {
    mkdirSync(join(dir, "lock", "7"), { recursive: true });
    writeFileSync(join(dir, "lock", "7", `held.${await deadMark()}`), "");
    expect(await withDirectoryLock(join(dir, "lock"), () => Promise.resolve("in"), { waitMs: 0 })).toBe("in");
    expect(readdirSync(join(dir, "lock"))).toContain("8");
  });

  it("of another machine is taken over when nothing was heard of it for a while, not before", async () => {
    mkdirSync(join(dir, "lock", "7"), { recursive: true });
    writeFileSync(join(dir, "lock", "7", `held.${foreignMark}`), "");
    const lock = (options: { waitMs: number; silentMs: number }) =>
      withDirectoryLock(join(dir, "lock"), () => Promise.resolve("in"), options);
    await expect(lock({ waitMs: 60, silentMs: 60_000 })).rejects.toMatchObject({
      code: "ERR_KILN_LOCKED",
      message: expect.stringContaining("process 1 of another machine or container"),
    });
    expect(await lock({ waitMs: 60_000, silentMs: 60 })).toBe("in");
  });

  it("is waited for no longer than the signal or the time allows", async () => {
    const lock = join(dir, "lock");
    let leave = (): void => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    let entered = (): void => {};
    const inside = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const holder = withDirectoryLock(lock, () => {
      entered();
      return left;
    });
    await inside;
    const stop = new AbortController();
    const waiting = withDirectoryLock(lock, () => Promise.resolve(), { signal: stop.signal });
    const reason = new Error("enough");
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(withDirectoryLock(lock, () => Promise.resolve(), { waitMs: 30 })).rejects.toMatchObject({
      code: "ERR_KILN_LOCKED",
      message: expect.stringContaining(`process ${process.pid} has held`),
    });
    leave();
    await holder;
    await withDirectoryLock(lock, () => Promise.resolve(), { waitMs: 0 });
  });

  it("keeps processes apart, also while some are killed in it", async () => {
    const module = await bundleModule("internal/directory-lock.ts", dir);
    const count = join(dir, "count");
    writeFileSync(count, "0");
    const log = join(dir, "log");
    // Not atomic on purpose: two at once would lose a turn.
    const script = `
      import { appendFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
      import { withDirectoryLock } from ${JSON.stringify(module)};
      for (;;) {
        await withDirectoryLock(${JSON.stringify(join(dir, "lock"))}, async () => {
          const before = Number(readFileSync(${JSON.stringify(count)}, "utf8"));
          await new Promise((resolve) => setTimeout(resolve, 1));
          writeFileSync(${JSON.stringify(count)} + process.pid, String(before + 1));
          renameSync(${JSON.stringify(count)} + process.pid, ${JSON.stringify(count)});
          appendFileSync(${JSON.stringify(log)}, (before + 1) + "\\n");
        });
      }`;
    const start = (): ChildProcess =>
      spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
    const turns = (): readonly string[] =>
      existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
    let running = [start(), start(), start()];
    for (let kill = 0; kill < 6; kill += 1) {
      const target = turns().length + 15;
      while (turns().length < target) await new Promise((resolve) => setTimeout(resolve, 5));
      const [victim, ...others] = running;
      victim?.kill("SIGKILL");
      running = kill < 4 ? [...others, start()] : others;
    }
    for (const child of running) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    const seen = turns().map(Number);
    expect(seen.length).toBeGreaterThan(80);
    // A process may be killed between the count and the log, so a number may be missing; none may come twice.
    expect(new Set(seen).size).toBe(seen.length);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
  }, 15_000);
});
