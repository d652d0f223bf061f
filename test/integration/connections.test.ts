import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { marshal, mkfile, scratch } from "../../src/llb/index.js";
import { Client, localDir } from "../../src/solver/index.js";
import { describeEachEngine } from "./support/engines.js";

const standIn = fileURLToPath(new URL("./support/dial-stand-in.mjs", import.meta.url));

let dir: string;
const path = process.env["PATH"];
const temporary = process.env["TMPDIR"];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-connections-"));
  // What others leave behind at the same time is not counted.
  process.env["TMPDIR"] = dir;
});
afterAll(() => {
  process.env["PATH"] = path;
  if (temporary === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = temporary;
  rmSync(dir, { recursive: true, force: true });
});

const socketOf = (address: string): string => address.replace("docker://", "");

/** Puts stand-ins into the path and returns where they note how they were called. */
function installStandIns(socket: string, mode: string): string {
  const bin = mkdtempSync(join(dir, "bin-"));
  const log = join(bin, "calls");
  for (const program of ["docker", "podman", "nerdctl", "kubectl", "ssh"]) {
    const file = join(bin, program);
    writeFileSync(
      file,
      `#!/bin/sh\nexec "${process.execPath}" "${standIn}" "${log}" "${socket}" ${mode} ${program} "$@"\n`,
    );
    chmodSync(file, 0o755);
  }
  process.env["PATH"] = `${bin}:${path}`;
  return log;
}

const relays = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith("kiln-dial-"));

describeEachEngine("a daemon that another program connects to", ({ name, address }) => {
  for (const [text, call] of [
    ["docker-container://builder", ["docker", "exec", "-i", "builder", "buildctl", "dial-stdio"]],
    [
      "docker-container://builder?context=far",
      ["docker", "--context=far", "exec", "-i", "builder", "buildctl", "dial-stdio"],
    ],
    ["podman-container://builder", ["podman", "exec", "-i", "builder", "buildctl", "dial-stdio"]],
    [
      "nerdctl-container://builder?namespace=n",
      ["nerdctl", "exec", "--namespace", "n", "-i", "builder", "buildctl", "dial-stdio"],
    ],
    [
      "kube-pod://pod-1?context=c&namespace=n&container=k",
      [
        ...["kubectl", "--context=c", "--namespace=n", "exec", "--container=k", "-i", "pod-1", "--"],
        ...["buildctl", "dial-stdio"],
      ],
    ],
    [
      "ssh://me@build.example.com:2222/run/b.sock",
      [
        ...["ssh", "-l", "me", "-p", "2222", "-o", "BatchMode=yes", "--", "build.example.com"],
        ...["buildctl", "--addr", "unix:///run/b.sock", "dial-stdio"],
      ],
    ],
    [
      "docker+ssh://me@build.example.com",
      [
        ...["ssh", "-l", "me", "-o", "BatchMode=yes", "--", "build.example.com"],
        ...["docker", "system", "dial-stdio"],
      ],
    ],
  ] as const) {
    it(`builds through ${text}`, async () => {
      const log = installStandIns(socketOf(address), text.startsWith("docker+ssh") ? "docker" : "buildkit");
      const client = await Client.connect(text);
      expect(client.address).toBe(text);
      expect(existsSync(log)).toBe(false);
      const out = mkdtempSync(join(dir, "out-"));
      const data = Buffer.alloc(1_500_000, name);
      await client.solve(marshal(scratch().file(mkfile("/big", data))), { outputs: [localDir(out)] }).result;
      expect(readFileSync(join(out, "big")).equals(data)).toBe(true);
      const calls = readFileSync(log, "utf8").trim().split("\n");
      expect(JSON.parse(calls[0] ?? "")).toEqual(call);
      await client.close();
    });
  }

  it("says what the program said when it cannot connect, and leaves nothing behind", async () => {
    const before = relays().length;
    installStandIns(socketOf(address), "fail");
    const client = await Client.connect("docker-container://gone");
    const error = await client.facts().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "ERR_KILN_CONNECT_FAILED" });
    expect((error as Error).message).toContain("No such container: gone");
    expect((error as Error).message).toContain("docker exec -i gone buildctl dial-stdio");
    await client.close();
    process.env["PATH"] = mkdtempSync(join(dir, "empty-"));
    const missing = await Client.connect("kube-pod://p");
    await expect(missing.facts()).rejects.toMatchObject({
      code: "ERR_KILN_CONNECT_FAILED",
      message: expect.stringContaining("not installed"),
    });
    await missing.close();
    process.env["PATH"] = path;
    expect(relays().length).toBe(before);
  });
});
