import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { dockerAddress, formatAddress, parseAddress } from "../../../src/rpc/address.js";
import { discover } from "../../../src/rpc/discover.js";
import { currentDockerContext } from "../../../src/rpc/docker-context.js";

describe("addresses", () => {
  it.each([
    ["unix://", "unix:///run/buildkit/buildkitd.sock"],
    ["unix:///a/b.sock", "unix:///a/b.sock"],
    ["/a/b.sock", "unix:///a/b.sock"],
    ["/var/run/docker.sock", "docker:///var/run/docker.sock"],
    ["docker://", "docker:///var/run/docker.sock"],
    ["docker:///x/docker.sock", "docker:///x/docker.sock"],
    ["docker://host:2376", "docker://host:2376"],
    ["tcp://127.0.0.1:1234", "tcp://127.0.0.1:1234"],
    ["TCP://[::1]:1", "tcp://[::1]:1"],
    ["ssh://host", "ssh://host"],
    ["ssh://me@host:22/run/b.sock", "ssh://me@host:22/run/b.sock"],
    ["ssh://[::1]", "ssh://[::1]"],
    ["docker+ssh://me@host", "docker+ssh://me@host"],
    ["docker-container://a.b_c-1/?context=x", "docker-container://a.b_c-1?context=x"],
    ["podman-container://a", "podman-container://a"],
    ["kube-pod://p?container=k&context=c", "kube-pod://p?context=c&container=k"],
  ])("%s is %s", (text, expected) => {
    expect(formatAddress(parseAddress(text))).toBe(expected);
    expect(formatAddress(parseAddress(expected))).toBe(expected);
  });

  it.each([
    ["localhost:1234", "no scheme"],
    ["tcp://host", "host and a port"],
    ["tcp://host:99999", "host and a port"],
    ["unix://relative", "absolute"],
    ["http://host:1", "HTTP/1"],
    ["npipe:////./pipe/x", "Windows"],
    ["ssh://", "needs a name"],
    ["ssh://me:secret@host", "no password"],
    ["ssh://host?x=1", "no options"],
    ["ssh://-oProxyCommand=x", "host is none"],
    ["ssh://host/$(touch)", "no plain path"],
    ["docker+ssh://host/x.sock", "no plain path"],
    ["docker-container://--privileged", "no plain name"],
    ["docker-container://a/b", "only hold a name"],
    ["docker-container://a?namespace=b", "unknown option namespace"],
    ["nerdctl-container://a?namespace=-n", "no plain name"],
    ["kube-pod://p?context=$(x)", "no plain name"],
    ["nope://x", "no scheme of a BuildKit"],
  ])("refuses %s", (text, why) => {
    expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: "ERR_KILN_INVALID_ADDRESS" }));
    expect(() => parseAddress(text)).toThrow(why);
  });

  it("reads DOCKER_HOST as the address of a Docker", () => {
    expect(formatAddress(dockerAddress("unix:///x.sock"))).toBe("docker:///x.sock");
    expect(formatAddress(dockerAddress("tcp://h:1"))).toBe("docker://h:1");
    expect(formatAddress(dockerAddress("ssh://me@h"))).toBe("docker+ssh://me@h");
  });
});

describe("discovery", () => {
  let home: string;
  let server: Server;
  let socket: string;

  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), "kiln-home-"));
    socket = join(home, "a.sock");
    server = createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
  });

  afterEach(() => {
    server.close();
    rmSync(home, { recursive: true, force: true });
  });

  function writeContext(name: string, host: string): void {
    const id = createHash("sha256").update(name).digest("hex");
    const dir = join(home, ".docker", "contexts", "meta", id);
    mkdirSync(dir, { recursive: true });
    writeFileSync(
      join(dir, "meta.json"),
      JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }),
    );
  }

  it("takes a named address and nothing else, found or not", async () => {
    const found = await discover({ host: `unix://${socket}`, env: { KILN_HOST: "unix:///other" }, home });
    expect(found).toMatchObject([
      { address: `unix://${socket}`, source: "--host", explicit: true, found: true },
    ]);
    const missing = await discover({
      env: { KILN_HOST: "unix:///no", BUILDKIT_HOST: `unix://${socket}` },
      home,
    });
    expect(missing).toMatchObject([{ source: "KILN_HOST", found: false, problem: "no such socket" }]);
    const wrong = await discover({ env: { BUILDKIT_HOST: "nope" }, home });
    expect(wrong).toMatchObject([{ source: "BUILDKIT_HOST", found: false, parsed: undefined }]);
  });

  it("looks at buildkitd, extra places, Docker's context and Docker, in that order", async () => {
    writeContext("mine", `unix://${socket}`);
    const env = { DOCKER_CONTEXT: "mine", XDG_RUNTIME_DIR: home };
    const extra = [{ address: `docker://${join(home, "own.sock")}`, source: "own engine" }];
    const found = await discover({ env, home, extra });
    expect(found.map(({ source }) => source)).toEqual([
      "buildkitd",
      "rootless buildkitd",
      "own engine",
      "Docker context mine",
      "Docker",
      "rootless Docker",
      "Docker Desktop",
    ]);
    expect(found.find(({ source }) => source === "Docker context mine")).toMatchObject({
      address: `docker://${socket}`,
      found: true,
    });
  });

  it("tells what is wrong with a place", async () => {
    const file = join(home, "file");
    writeFileSync(file, "");
    expect(await discover({ host: file, env: {}, home })).toMatchObject([{ problem: "it is not a socket" }]);
    const broken = await discover({ env: { DOCKER_CONTEXT: "gone" }, home });
    expect(broken.find(({ source }) => source === "Docker context")?.problem).toContain(
      'cannot read the Docker context "gone"',
    );
  });

  it("reads the current context of Docker's config, with its certificates", async () => {
    writeContext("remote", "tcp://h:2376");
    writeFileSync(join(home, ".docker", "config.json"), JSON.stringify({ currentContext: "remote" }));
    const id = createHash("sha256").update("remote").digest("hex");
    mkdirSync(join(home, ".docker", "contexts", "tls", id, "docker"), { recursive: true });
    writeFileSync(join(home, ".docker", "contexts", "tls", id, "docker", "ca.pem"), "x");
    const context = await currentDockerContext({ env: {}, home });
    expect(context).toMatchObject({ name: "remote", address: { scheme: "docker", host: "h", port: 2376 } });
    expect(context?.tls?.caFile).toContain("ca.pem");
    expect(await currentDockerContext({ env: { DOCKER_CONTEXT: "default" }, home })).toBeUndefined();
  });
});
