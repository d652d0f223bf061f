import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { parseAddress } from "../../../src/rpc/address.js";
import { openConnection } from "../../../src/rpc/connection.js";
import { openSession } from "../../../src/session/session.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-silent-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

it("closes a session that a silent Docker never took", { timeout: 5_000 }, async () => {
  const path = join(dir, "docker.sock");
  const asked: string[] = [];
  const sockets: Socket[] = [];
  const silent = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes) => asked.push(bytes.toString()));
  });
  await new Promise<void>((resolve) => silent.listen(path, resolve));
  const connection = await openConnection(parseAddress(`docker://${path}`));
  try {
    const session = openSession(connection, { services: [] });
    await expect.poll(() => asked.join("")).toContain("POST /session");
    await session.close();
    expect(await session.lost).toMatchObject({ code: expect.stringMatching(/^ERR_KILN_CONNECT/) });
  } finally {
    await connection.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});
