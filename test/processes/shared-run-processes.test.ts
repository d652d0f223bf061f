import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bundleModule } from "../unit/internal/bundle-module.js";

let home: string;
let script: string;
let dir: string;
const children: Child[] = [];

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "kiln-shared-"));
  const module = await bundleModule("cache/sharing/shared-run.ts", home);
  script = join(home, "child.mjs");
  writeFileSync(
    script,
    `
    import fs from "node:fs/promises";
    import { syncBuiltinESMExports } from "node:module";
    import { sharedRun } from ${JSON.stringify(module)};
    const [dir, silentMs, dieAt] = process.argv.slice(2);
    const die = () => process.kill(process.pid, "SIGKILL");
    if (dieAt === "remove") {
      fs.rm = async (path) => (String(path).endsWith(".run1") ? die() : undefined);
      syncBuiltinESMExports();
    }
    const asIs = { encode: (value) => value, decode: (data) => data };
    const codecs = {
      result: asIs,
      event: asIs,
      error: { encode: (error) => error.message, decode: (message) => new Error(message) },
    };
    const stop = new AbortController();
    let tell, finish, fail;
    const end = new Promise((resolve, reject) => [finish, fail] = [resolve, reject]);
    process.on("message", ([what, value]) => {
      if (what === "emit") tell(value);
      if (what === "many") for (let at = 0; at < value; at += 1) tell("state " + at + " " + "x".repeat(1000));
      if (what === "finish") finish(value);
      if (what === "finish and die") { finish(value); die(); }
      if (what === "fail") fail(new Error(value));
      if (what === "abort") stop.abort(new Error("aborted"));
    });
    sharedRun({
      dir, key: "abc", codecs, silentMs: Number(silentMs), signal: stop.signal,
      retention: (event) => ({ keep: "always" }),
      dropped: (bytes) => "dropped " + bytes,
      run(emit, signal) {
        tell = emit;
        signal.addEventListener("abort", () => fail(signal.reason));
        process.send(["begun"]);
        return end;
      },
      emit: (event) => process.send(["event", event]),
      onTakeOver: (by) => process.send(["taken over", by]),
    }).then(
      ({ result, shared }) => ["result", result, shared],
      (error) => ["error", error.message],
    ).then((end) => process.send(end, () => process.disconnect()));
    `,
  );
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});
beforeEach(() => {
  dir = mkdtempSync(join(home, "runs-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) await child.end();
});

/** A process that asks for the one run. */
class Child {
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown>;
  readonly messages: string[] = [];

  constructor({ silentMs = 30_000, dieAt = "" } = {}) {
    this.#process = fork(script, [dir, String(silentMs), dieAt], { stdio: "inherit" });
    // What it said may be read after its end.
    this.#exit = Promise.all([once(this.#process, "exit"), once(this.#process, "disconnect")]);
    this.#process.on("message", (message) => this.messages.push((message as string[]).join(" ")));
    children.push(this);
  }

  send(what: string, value: unknown = ""): void {
    // One that is told to die may be gone before it has answered.
    this.#process.send([what, value], () => {});
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Waits until it has said that. */
  async said(message: string): Promise<void> {
    await expect.poll(() => this.messages, { timeout: 15_000, interval: 5 }).toContain(message);
  }

  async end(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exit;
  }

  async ended(): Promise<void> {
    await this.#exit;
  }
}

/** Waits until so many have looked for a run. */
async function looked(count: number): Promise<void> {
  const turns = (): readonly string[] => {
    try {
      return readdirSync(join(dir, "lock", String(count)));
    } catch {
      return [];
    }
  };
  await expect.poll(turns, { timeout: 15_000, interval: 5 }).toEqual([expect.stringMatching(/^free/)]);
}

async function leading(options: { readonly dieAt?: string } = {}): Promise<Child> {
  const leader = new Child(options);
  await leader.said("begun");
  return leader;
}

async function following(turn: number, options: { readonly silentMs?: number } = {}): Promise<Child> {
  const follower = new Child(options);
  await looked(turn);
  return follower;
}

const runFiles = (): readonly string[] => readdirSync(dir).filter((name) => name.endsWith(".run1"));

describe("a run that processes ask for at once", () => {
  it("runs in one of three, and the others hear all of it", async () => {
    const leader = await leading();
    leader.send("emit", "one");
    const [second, third] = [await following(2), await following(3)];
    await second.said("event one");
    leader.send("emit", "two");
    leader.send("finish", "made");
    for (const child of [leader, second, third]) await child.ended();
    expect(leader.messages).toEqual(["begun", "event one", "event two", "result made led"]);
    expect(second.messages).toEqual(["event one", "event two", "result made followed"]);
    expect(third.messages).toEqual(second.messages);
    expect(runFiles()).toEqual([]);
  });

  it("has one leader among those that begin in the same moment", async () => {
    const three = [new Child(), new Child(), new Child()];
    await looked(3);
    const begun = (): readonly Child[] => three.filter(({ messages }) => messages.includes("begun"));
    await expect.poll(begun).toHaveLength(1);
    begun()[0]!.send("finish", "made");
    for (const child of three) await child.ended();
    expect(three.map(({ messages }) => messages.at(-1)).sort()).toEqual([
      ...["result made followed", "result made followed"],
      "result made led",
    ]);
  });

  it("gives all the same error", async () => {
    const leader = await leading();
    const follower = await following(2);
    leader.send("fail", "no such thing");
    await leader.ended();
    await follower.ended();
    expect(follower.messages).toEqual(["error no such thing"]);
  });

  it("is taken over by one of two when its process is killed before it said anything", async () => {
    const leader = await leading();
    const two = [await following(2), await following(3)];
    leader.kill("SIGKILL");
    await looked(5);
    const begun = (): readonly Child[] => two.filter(({ messages }) => messages.includes("begun"));
    await expect.poll(begun).toHaveLength(1);
    begun()[0]!.send("emit", "anew");
    begun()[0]!.send("finish", "made");
    for (const child of two) await child.ended();
    expect(two.map(({ messages }) => messages.join(", ")).sort()).toEqual([
      "taken over other, event anew, result made followed",
      "taken over self, begun, event anew, result made took-over",
    ]);
    expect(runFiles()).toEqual([]);
  });

  it("is taken over in its middle, twice, and what was told stays told", async () => {
    const leader = await leading();
    const second = await following(2);
    leader.send("emit", "one");
    await second.said("event one");
    leader.kill("SIGKILL");
    await second.said("begun");
    const third = await following(4);
    second.send("emit", "two");
    await third.said("event two");
    second.kill("SIGKILL");
    await third.said("begun");
    third.send("finish", "made");
    await third.ended();
    expect(second.messages).toEqual(["event one", "taken over self", "begun", "event two"]);
    expect(third.messages).toEqual(["event two", "taken over self", "begun", "result made took-over"]);
    expect(runFiles()).toEqual([]);
  });

  it("is taken over when its process is killed after the run, before the result is told", async () => {
    const leader = await leading();
    const follower = await following(2);
    leader.send("emit", "one");
    await follower.said("event one");
    leader.send("finish and die", "never told");
    await follower.said("begun");
    follower.send("finish", "made");
    await follower.ended();
    expect(follower.messages.at(-1)).toBe("result made took-over");
  });

  it("is over when its process is killed once the result is told, and the next removes its file", async () => {
    const leader = await leading({ dieAt: "remove" });
    const follower = await following(2);
    leader.send("finish", "made");
    await leader.ended();
    await follower.ended();
    expect(leader.messages).toEqual(["begun"]);
    expect(follower.messages).toEqual(["result made followed"]);
    expect(runFiles()).toHaveLength(1);
    const next = await leading();
    expect(runFiles()).toHaveLength(1);
    next.send("finish", "anew");
    await next.ended();
    expect(next.messages).toEqual(["begun", "result anew led"]);
    expect(runFiles()).toEqual([]);
  });

  it("goes on in another process when the one that runs it aborts", async () => {
    const leader = await leading();
    const follower = await following(2);
    leader.send("abort");
    await leader.ended();
    expect(leader.messages).toEqual(["begun", "error aborted"]);
    await follower.said("begun");
    follower.send("finish", "made");
    await follower.ended();
    expect(follower.messages).toEqual(["taken over self", "begun", "result made took-over"]);
  });

  it("goes on when one that follows aborts", async () => {
    const leader = await leading();
    const follower = await following(2);
    follower.send("abort");
    await follower.ended();
    expect(follower.messages).toEqual(["error aborted"]);
    leader.send("finish", "made");
    await leader.ended();
    expect(leader.messages).toEqual(["begun", "result made led"]);
  });

  it("is taken over from a process that stands still", async () => {
    const leader = await leading();
    const follower = await following(2, { silentMs: 300 });
    leader.kill("SIGSTOP");
    await follower.said("begun");
    follower.send("finish", "made");
    await follower.ended();
    leader.kill("SIGCONT");
    leader.send("finish", "made late");
    await leader.ended();
    expect(leader.messages.at(-1)).toBe("result made late led");
    expect(runFiles()).toEqual([]);
  });

  it("is heard whole by one that stood still while it ended and its file was removed", async () => {
    const leader = await leading();
    leader.send("emit", "one");
    const follower = await following(2);
    await follower.said("event one");
    follower.kill("SIGSTOP");
    leader.send("many", 3000);
    leader.send("finish", "made");
    await leader.ended();
    expect(runFiles()).toEqual([]);
    follower.kill("SIGCONT");
    await follower.ended();
    expect(follower.messages).toHaveLength(3002);
    expect(follower.messages.at(-1)).toBe("result made followed");
  });

  it("is done by each where they cannot find each other", async () => {
    writeFileSync(join(dir, "file"), "");
    const outer = dir;
    dir = join(dir, "file", "below");
    const two = [await leading(), await leading()];
    dir = outer;
    for (const child of two) child.send("finish", "made");
    for (const child of two) await child.ended();
    expect(two.map(({ messages }) => messages)).toEqual([
      ["begun", "result made led"],
      ["begun", "result made led"],
    ]);
  });

  it("begins though the lock is held by one that nobody can look up", async () => {
    mkdirSync(join(dir, "lock", "1"), { recursive: true });
    writeFileSync(join(dir, "lock", "1", "held.0123456789ab.1.1"), "");
    const child = await leading();
    child.send("finish", "made");
    await child.ended();
    expect(child.messages).toEqual(["begun", "result made led"]);
    expect(readdirSync(join(dir, "lock"))).toContain("2");
  });
});
