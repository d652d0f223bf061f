import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DialCommand } from "./dial-command.js";

/** How much of what a program says of itself is kept for an error. */
const saidLimit = 2_000;

/** How long a program gets to end by itself after its connection has. */
const endGraceMs = 2_000;

/** A socket of this process behind which a program connects to a daemon, once for every connection. */
export interface CommandRelay {
  /** The socket: in a directory that only this user can enter. */
  readonly path: string;
  /** Why the last program that was started could not connect; `undefined` if none has failed. */
  problem(): string | undefined;
  /** Ends all programs and removes the socket. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens a relay. gRPC connects to sockets, not to programs; through a socket it also reconnects by itself.
 *
 * The program is started on the first connection, not before.
 */
export async function openCommandRelay(command: DialCommand): Promise<CommandRelay> {
  const dir = await mkdtemp(join(tmpdir(), "kiln-dial-"));
  const path = join(dir, "s");
  const running = new Set<ChildProcessWithoutNullStreams>();
  let problem: string | undefined;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const child = spawn(command.program, [...command.args], { stdio: "pipe" });
    running.add(child);
    joinStreams(socket, child, (why) => {
      running.delete(child);
      problem = why === undefined ? undefined : `${[command.program, ...command.args].join(" ")}: ${why}`;
    });
  });
  await listen(server, path);
  // The socket alone keeps no process alive.
  server.unref();
  let closing: Promise<void> | undefined;
  return {
    path,
    problem: () => problem,
    close() {
      closing ??= (async () => {
        server.close();
        for (const child of running) child.kill("SIGTERM");
        await rm(dir, { recursive: true, force: true });
      })();
      return closing;
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
}

/** Joins a socket and a program until either ends; `onEnd` is told why the program failed, if it did. */
function joinStreams(
  socket: Socket,
  child: ChildProcessWithoutNullStreams,
  onEnd: (why: string | undefined) => void,
): void {
  let said = "";
  let answered = false;
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => {
    said = (said + text).slice(-saidLimit);
  });
  child.stdout.once("data", () => {
    answered = true;
  });
  child.stdin.on("error", () => {});
  socket.on("error", () => {});
  socket.pipe(child.stdin);
  // Not ended with the program's output: whoever sees the end wants to know the reason, which comes later.
  child.stdout.pipe(socket, { end: false });
  let timer: NodeJS.Timeout | undefined;
  socket.once("close", () => {
    timer = setTimeout(() => child.kill("SIGTERM"), endGraceMs);
    timer.unref();
  });
  let ended = false;
  const end = (why: string | undefined): void => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    onEnd(why);
    if (answered) socket.end();
    else socket.destroy();
  };
  child.once("error", (error: NodeJS.ErrnoException) =>
    end(error.code === "ENOENT" ? "the program is not installed" : error.message),
  );
  child.once("close", (code, signal) => {
    if (answered || signal === "SIGTERM") end(undefined);
    else end(said.trim() === "" ? `it ended with ${signal ?? `exit code ${code}`}` : said.trim());
  });
}
