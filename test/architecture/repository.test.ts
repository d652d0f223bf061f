import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { REPOSITORY } from "./source-tree.js";

/** Hosts that the repository may name: public registries and projects, and names reserved for examples. */
const PUBLIC_HOSTS = new Set([
  ...[
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "auth.docker.io",
    "ghcr.io",
    "gcr.io",
    "quay.io",
  ],
  ...["www.npmjs.com", "pypi.org"],
  ...["files.pythonhosted.org", "peps.python.org", "vitest.dev"],
  ...[
    "github.com",
    "gitlab.com",
    "raw.githubusercontent.com",
    "biomejs.dev",
    "opencontainers.org",
    "specs.opencontainers.org",
  ],
  ...["docs.docker.com", "nodejs.org", "keepachangelog.com", "semver.org", "www.conventionalcommits.org"],
  ...[
    "www.apache.org",
    "protobuf.dev",
    "grpc.io",
    "pkg.go.dev",
    "www.rfc-editor.org",
    "datatracker.ietf.org",
  ],
  ...["json-schema.org", "unpkg.com", "modal.com", "slsa.dev", "in-toto.io", "spdx.dev", "no-color.org"],
  // The namespace of what it answers.
  "sts.amazonaws.com",
]);
const RESERVED_HOST =
  /^(?:localhost|[\w-]*|(?:.+\.)?(?:example|test|invalid|localhost|internal|local)|(?:.+\.)?example\.(?:com|org|net)|127(?:\.\d+){3}|0\.0\.0\.0|10(?:\.\d+){3}|192\.168(?:\.\d+){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d+){2}|(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+|\[.*\])$/;

/** Files whose addresses are not ours to choose, and this one, which holds the wrong examples. */
const EXEMPT = ["package-lock.json", "LICENSE", "test/architecture/repository.test.ts"];

const files = trackedFiles();

test("no file names a host of somebody's own network", () => {
  expect(findIn(files, privateHosts)).toEqual([]);
});

test("a host of somebody's own network is found", () => {
  const text =
    "http://registry.corp:5000/v2 https://user@npm.corp.net/x tcp://[fd00::1]:1234 tcp://engine:1234";
  expect(
    privateHosts(`${text} https://github.com/a http://127.0.0.1:1 https://registry.example.com`),
  ).toEqual(["registry.corp", "npm.corp.net"]);
});

test("no file names a place on somebody's machine", () => {
  expect(findIn(files, machinePaths)).toEqual([]);
});

test("a place on somebody's machine is found", () => {
  const text = `${REPOSITORY}src /home/jane/x /Users/jane/x C:\\Users\\jane /home/user/x /usr/home`;
  expect(machinePaths(text)).toEqual([
    REPOSITORY.replace(/\/$/, ""),
    "/home/jane/",
    "/Users/jane/",
    "C:\\Users\\",
  ]);
});

test("the lock file names no registry", () => {
  const lock = JSON.parse(readFileSync(join(REPOSITORY, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<
      Record<string, { readonly resolved?: string; readonly integrity?: string; readonly optional?: boolean }>
    >;
  };
  const installed = Object.entries(lock.packages).filter(([path]) => path !== "");
  expect(installed.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path)).toEqual([]);
  // Packages of other platforms, which the registry that wrote the file may not have carried, have none.
  const needed = installed.filter(([, entry]) => entry.optional !== true);
  expect(needed.filter(([, entry]) => entry.integrity === undefined).map(([path]) => path)).toEqual([]);
});

test("the package manager's settings name no registry and hold no token", () => {
  expect(readFileSync(join(REPOSITORY, ".npmrc"), "utf8")).not.toMatch(/registry\s*=|_auth|_password|\/\//);
});

function findIn(texts: ReadonlyMap<string, string>, find: (text: string) => readonly string[]): string[] {
  return [...texts].flatMap(([path, text]) => find(text).map((hit) => `${path}: ${hit}`));
}

function privateHosts(text: string): readonly string[] {
  const urls = text.matchAll(/\b(?:https?|wss?|tcp|git|ssh):\/\/(?:[^\s/@"'`]*@)?(\[[^\]]*\]|[\w.-]+)/g);
  const hosts = [...urls].map((match) => (match[1] ?? "").toLowerCase().replace(/\.$/, ""));
  return hosts.filter((host) => !PUBLIC_HOSTS.has(host) && !RESERVED_HOST.test(host));
}

function machinePaths(text: string): readonly string[] {
  const here = REPOSITORY.replace(/\/$/, "");
  // The folder beside the checkout where a team keeps what is not in the repository.
  const own = [here, join(dirname(here), "shared")].filter((path) => text.includes(path));
  const others = text.matchAll(
    /\/(?:home|Users)\/(?!(?:user|me|you|node)\/)[\w.-]+\/|[A-Z]:\\{1,2}Users\\{1,2}/g,
  );
  return [...own, ...[...others].map((match) => match[0])];
}

/** Texts of the files that are, or are about to be, under version control, by path. */
function trackedFiles(): ReadonlyMap<string, string> {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const paths = execFileSync("git", args, { cwd: REPOSITORY, encoding: "utf8" }).split("\0");
  const texts = new Map<string, string>();
  for (const path of paths) {
    if (path === "" || EXEMPT.includes(path)) continue;
    const text = readText(path);
    if (text !== undefined && !text.includes("\0")) texts.set(path, text);
  }
  return texts;
}

/** Reads a file, or answers nothing for one that is listed but deleted. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(join(REPOSITORY, path), "utf8");
  } catch (error) {
    if (["ENOENT", "EISDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
