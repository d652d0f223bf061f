import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { copy, local, marshal, scratch } from "../../../src/llb/index.js";
import { engineUp, type RunningEngine } from "../../../src/provision/index.js";
import { Client, filesTar, localDir, openLocalTree } from "../../../src/solver/index.js";

/** How a session is cut. */
export type Cut = "the socket is killed" | "the daemon is killed" | "the daemon is stopped";

/** What became of a build whose session was cut. */
export interface CutOutcome {
  readonly code: string | undefined;
  readonly message: string;
  readonly seconds: number;
  /** What lies at the destinations that should not. */
  readonly leftovers: readonly string[];
}

const fileBytes = 4 * 1024 * 1024;
const fileCount = 25;

/** Makes the tree that the builds export: 25 files of 4 MiB. */
export function makeTree(dir: string): string {
  const tree = mkdtempSync(join(dir, "tree-"));
  for (let index = 0; index < fileCount; index += 1) {
    writeFileSync(join(tree, `f${String(index).padStart(3, "0")}`), Buffer.alloc(fileBytes, index + 1));
  }
  return tree;
}

/**
 * Cuts builds on a daemon of the caller's own, all at once, while each of them exports to a tar and to a directory.
 *
 * A daemon that was stopped goes on afterwards; one that was killed has to be started again.
 */
export async function cutBuilds(
  cut: Cut,
  options: {
    readonly engine: RunningEngine;
    readonly tree: string;
    readonly dir: string;
    readonly builds: number;
  },
): Promise<readonly CutOutcome[]> {
  const { engine, builds } = options;
  const sockets = new Set<Socket>();
  const proxy = await proxyTo(engine.socket, sockets);
  const address = `docker://127.0.0.1:${(proxy.address() as { port: number }).port}`;
  const running = await Promise.all(Array.from({ length: builds }, () => startBuild(address, options)));
  try {
    await Promise.all(running.map(({ out, result }) => untilExporting(out, result)));
    const since = Date.now();
    if (cut === "the socket is killed") for (const socket of sockets) socket.destroy();
    else process.kill(engine.pid, cut === "the daemon is killed" ? "SIGKILL" : "SIGSTOP");
    return await Promise.all(
      running.map(async ({ out, result }) => {
        const error = await result.then(
          () => undefined,
          (reason: unknown) => reason as { readonly code?: string; readonly message: string },
        );
        return {
          code: error?.code,
          message: error?.message ?? "the build succeeded",
          seconds: (Date.now() - since) / 1000,
          leftovers: leftovers(out),
        };
      }),
    );
  } finally {
    if (cut === "the daemon is stopped") process.kill(engine.pid, "SIGCONT");
    for (const socket of sockets) socket.destroy();
    proxy.close();
    for (const { client, out } of running) {
      await client.close();
      rmSync(out, { recursive: true, force: true });
    }
  }
}

interface StartedBuild {
  readonly client: Client;
  readonly out: string;
  readonly result: Promise<unknown>;
}

async function startBuild(
  address: string,
  { tree, dir }: { readonly tree: string; readonly dir: string },
): Promise<StartedBuild> {
  const out = mkdtempSync(join(dir, "cut-"));
  const client = await Client.connect(address);
  const name = `tree-${Math.random().toString(36).slice(2)}`;
  const state = scratch().file(copy(local(name), { src: "/", dest: "/", copyDirContentsOnly: true }));
  const { result } = client.solve(marshal(state, { localUniqueId: name }), {
    // The last one takes nothing, so that no build is over before it is cut.
    outputs: [filesTar(join(out, "files.tar")), localDir(join(out, "files")), filesTar(stalled)],
    trees: new Map([[name, await openLocalTree(tree)]]),
    sharedKey: name,
  });
  result.catch(() => {});
  return { client, out, result };
}

function stalled(): Writable {
  return new Writable({ write: () => {} });
}

/** The engine that is cut: the one that other tests do not use. Starts it if it does not run. */
export function engineToCut(prefix: string): Promise<RunningEngine> {
  return engineUp({ prefix, kind: "classic" });
}

function proxyTo(socketPath: string, sockets: Set<Socket>): Promise<Server> {
  const proxy = createServer((near) => {
    const far = connect(socketPath);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  return new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(proxy)));
}

async function untilExporting(out: string, result: Promise<unknown>): Promise<void> {
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  result.then(end, end);
  const files = join(out, "files");
  for (;;) {
    const inTar = readdirSync(out).some(
      (name) => name.startsWith("files.tar") && statSync(join(out, name)).size > 0,
    );
    if (inTar || (existsSync(files) && readdirSync(files).length > 0)) return;
    if (ended) throw new Error("the build ended before it exported");
    await delay(2);
  }
}

/** Tars under any name, and files of the directory that are not whole. */
function leftovers(out: string): readonly string[] {
  const files = join(out, "files");
  const inDirectory = existsSync(files) ? readdirSync(files) : [];
  return [
    ...readdirSync(out).filter((name) => name !== "files" && !(name === "files.tar" && isWholeTar(out))),
    ...inDirectory.filter((name) => statSync(join(files, name)).size !== fileBytes || !/^f\d{3}$/.test(name)),
  ];
}

/** The tar may have been written whole before the cut: then it rightly stays. */
function isWholeTar(out: string): boolean {
  return statSync(join(out, "files.tar")).size >= fileCount * fileBytes;
}
