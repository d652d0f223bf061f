import { describe, expect, it } from "vitest";
import {
  type DockerfileSources,
  dockerfilePolicy,
  layoutContexts,
  lockOfDockerfile,
  namesAt,
} from "../../../../src/engine/inputs/dockerfile-sources.js";
import { copy, image, marshal } from "../../../../src/llb/index.js";
import type { OciLayout } from "../../../../src/oci/layout.js";
import type { SourceLock } from "../../../../src/solver/source-lock/source-lock.js";
import { sourcePolicyToPb } from "../../../../src/solver/supply-chain/source-policy.js";

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const platform = { os: "linux", architecture: "amd64" };
const alpine = "docker-image://docker.io/library/alpine:3.20";

const locked = (source: string, letter: string, on = "linux/amd64"): SourceLock["sources"][number] => ({
  ...{ type: "image", source, platform: on, digest: digest(letter) },
});

function policy(sources: Partial<DockerfileSources>) {
  const all = { platform, lock: undefined, pull: "missing" as const, mirrors: {}, policy: undefined };
  return dockerfilePolicy({ ...all, ...sources });
}

/** What the daemon makes of an image under the rules: its loop, in short. */
function resolved(identifier: string, sources: Partial<DockerfileSources>): string {
  let current = identifier;
  for (let round = 0; round < 20; round += 1) {
    let denied = false;
    let next: string | undefined;
    for (const rule of sourcePolicyToPb(policy(sources) ?? { rules: [] }).rules ?? []) {
      const { identifier: pattern = "", matchType } = rule.selector ?? {};
      const source =
        matchType === 2
          ? pattern
          : `^${pattern.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "(.*)")}$`;
      const match = new RegExp(source, "s").exec(current);
      if (match === null) continue;
      if (!("updates" in rule)) denied = rule.action === 1;
      else {
        const to = rule.updates?.identifier ?? "";
        next = to.replaceAll(/\$(\$|\d)/g, (_all, group: string) =>
          group === "$" ? "$" : (match[Number(group)] ?? ""),
        );
        if (next !== current) break;
      }
    }
    if (next === undefined || next === current) return denied ? "denied" : current;
    current = next;
  }
  return "too many";
}

describe("the rules for a Dockerfile's images", () => {
  it("are the build's own where there is neither lock nor mirror", () => {
    const own = { rules: [{ action: "deny", selector: { identifier: "*" } }] } as const;
    expect(policy({ policy: own })).toEqual(own);
    expect(policy({})).toBeUndefined();
  });

  it("take what is locked, of the platform first, and refuse the rest under locked", () => {
    const lock: SourceLock = {
      version: 1,
      sources: [
        locked(alpine, "a", "linux/arm64"),
        locked(alpine, "b"),
        locked(`${alpine}1`, "c", "linux/s390x"),
      ],
    };
    expect(resolved(alpine, { lock })).toBe(`${alpine}@${digest("b")}`);
    expect(resolved(`${alpine}1`, { lock })).toBe(`${alpine}1@${digest("c")}`);
    expect(resolved(`${alpine}2`, { lock })).toBe(`${alpine}2`);
    expect(resolved(alpine, { lock, pull: "always" })).toBe(alpine);
    const allow = { rules: [{ action: "allow", selector: { identifier: "*" } }] } as const;
    expect(resolved(alpine, { lock, pull: "locked", policy: allow })).toBe(`${alpine}@${digest("b")}`);
    expect(resolved(`${alpine}2`, { lock, pull: "locked", policy: allow })).toBe("denied");
  });

  it("take images from mirrors, by the longest key, once", () => {
    const mirrors = {
      "docker.io": "m.example/hub",
      "docker.io/library": "m.example/lib",
      "m.example": "m.example/again",
      "layout.example": "oci-layout:./x",
    };
    expect(resolved(alpine, { mirrors })).toBe("docker-image://m.example/lib/alpine:3.20");
    expect(resolved("docker-image://docker.io/u/x:1", { mirrors })).toBe(
      "docker-image://m.example/hub/u/x:1",
    );
    expect(resolved("docker-image://m.example/a:1", { mirrors })).toBe("docker-image://m.example/again/a:1");
    expect(resolved("docker-image://m.example/hubs:1", { mirrors })).toBe(
      "docker-image://m.example/again/hubs:1",
    );
    expect(resolved("docker-image://layout.example/a:1", { mirrors })).toBe(
      "docker-image://layout.example/a:1",
    );
    const lock: SourceLock = { version: 1, sources: [locked(alpine, "a")] };
    expect(resolved(alpine, { mirrors, lock, pull: "locked" })).toBe(
      `docker-image://m.example/lib/alpine:3.20@${digest("a")}`,
    );
  });
});

describe("the lock of a Dockerfile's images", () => {
  const definition = (...refs: string[]) => {
    const [first = "", ...more] = refs;
    return marshal(
      more.reduce(
        (state, ref) => state.file(copy(image(ref), { src: "/", dest: "/" })),
        image(first, { platform }),
      ),
      { platform },
    );
  };
  const lockOf = (refs: string[], use: Partial<Parameters<typeof lockOfDockerfile>[1]> = {}) =>
    lockOfDockerfile(definition(...refs), { known: new Set(), texts: [], platform, mirrors: {}, ...use });

  it("has the names with their digests, and none that the Dockerfile pins or the chain brings", () => {
    const refs = [
      `alpine:3.20@${digest("a")}`,
      `busybox:1@${digest("b")}`,
      `debian@${digest("c")}`,
      "plain:1",
    ];
    expect(lockOf(refs).sources).toEqual([
      locked(alpine, "a"),
      locked("docker-image://docker.io/library/busybox:1", "b"),
    ]);
    expect(lockOf(refs, { texts: [`FROM alpine:3.20@${digest("a")}`] }).sources).toHaveLength(1);
    const known = new Set(definition(...refs).ops.map((op) => op.digest));
    expect(lockOf(refs, { known }).sources).toEqual([]);
  });

  it("has the names before the mirrors, all that lead there", () => {
    const mirrors = { "docker.io": "m.example/x", "ghcr.io": "m.example/x", "quay.io": "m.example/x/y" };
    expect(lockOf([`m.example/x/library/alpine:3.20@${digest("a")}`], { mirrors }).sources).toEqual([
      locked(alpine, "a"),
      locked("docker-image://ghcr.io/library/alpine:3.20", "a"),
    ]);
    expect(namesAt("m.example/z:1", mirrors)).toEqual(["m.example/z:1"]);
  });
});

it("offers the images of a layout under all the names by which a Dockerfile finds them", () => {
  const layout = (names: Readonly<Record<string, string>>): OciLayout =>
    ({
      index: {
        manifests: Object.entries(names).map(([name, letter]) => ({
          digest: digest(letter),
          annotations: { "org.opencontainers.image.ref.name": name },
        })),
      },
    }) as unknown as OciLayout;
  expect(
    layoutContexts([
      {
        key: "docker.io",
        store: "s",
        layout: layout({ "debian:12": "a", "docker.io/u/x:latest": "b", "NO:": "c" }),
      },
      { key: "docker.io/library", store: "t", layout: layout({ "debian:12": "d" }) },
      { key: "r.example/p", store: "u", layout: layout({ tool: "e" }) },
    ]),
  ).toEqual({
    "context:debian:12": `oci-layout://t@${digest("d")}`,
    "context:u/x": `oci-layout://s@${digest("b")}`,
    "context:r.example/p/tool": `oci-layout://u@${digest("e")}`,
  });
});
