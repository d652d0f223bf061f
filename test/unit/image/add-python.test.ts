import { describe, expect, it } from "vitest";
import { builderVersion } from "../../../src/image/builder-version.js";
import { Image } from "../../../src/image/image.js";
import { decodeOp } from "../../../src/llb/decode-op.js";
import type { Plan } from "../../../src/model/plan.js";
import { actionsOf, needsWith, planOf } from "./compiled.js";
import { thrown } from "./thrown.js";

const sha256 = "c".repeat(64);
const arm64 = { platform: { os: "linux", architecture: "arm64" } };

function downloads(plan: Plan) {
  return (plan.definition?.ops ?? []).flatMap(({ bytes }) => {
    const { op } = decodeOp(bytes);
    return op.case === "source" && op.value.identifier.startsWith("http")
      ? [[op.value.identifier, op.value.attrs["http.checksum"]]]
      : [];
  });
}

const copiesOf = (plan: Plan) =>
  actionsOf(plan).flatMap((action) =>
    action.case === "copy"
      ? [[action.value.src, action.value.dest, action.value.attemptUnpackDockerCompatibility]]
      : [],
  );

describe("a standalone Python", () => {
  it("is downloaded from its project's releases by the builder version's pins", () => {
    const plan = planOf(Image.fromRegistry("debian", { addPython: "3.12" }));
    const sha = builderVersion().standalonePythons["3.12"]?.builds["x86_64-unknown-linux-gnu"]?.sha256;
    expect(downloads(plan)).toEqual([
      [
        "https://github.com/astral-sh/python-build-standalone/releases/download/20250529/cpython-3.12.10%2B20250529-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz",
        `sha256:${sha}`,
      ],
    ]);
    expect(copiesOf(plan)).toEqual([
      ["/archive", "/", true],
      ["/python", "/usr/local", false],
    ]);
    expect(plan.config.config?.Env).toEqual([
      "TERMINFO_DIRS=/etc/terminfo:/lib/terminfo:/usr/share/terminfo:/usr/lib/terminfo",
    ]);
  });

  it.each([
    [
      "another platform",
      "3.13",
      {},
      arm64,
      /cpython-3\.13\.3%2B20250529-aarch64-unknown-linux-gnu-/,
      "/python",
    ],
    [
      "another C library",
      "3.14",
      { libc: "musl" },
      {},
      /cpython-3\.14\.2%2B20260127-x86_64-unknown-linux-musl-/,
      "/python",
    ],
    [
      "free-threaded",
      "3.14t",
      {},
      {},
      /x86_64-unknown-linux-gnu-freethreaded%2Bpgo%2Blto-full\.tar\.zst$/,
      "/python/install",
    ],
    [
      "from a mirror",
      "3.10",
      { source: "https://mirror.example/pbs/" },
      {},
      /^https:\/\/mirror\.example\/pbs\/20250529\/cpython/,
      "/python",
    ],
  ] as const)("is the right one: %s", (_title, version, more, extra, url, from) => {
    const plan = planOf(Image.fromRegistry("debian", { addPython: { version, ...more } }), {}, {}, extra);
    expect(downloads(plan)[0]?.[0]).toMatch(url);
    expect(copiesOf(plan).at(-1)?.[0]).toBe(from);
  });

  it("comes from an archive of one's own", () => {
    const source = { url: "https://x.example/p.tar.xz", sha256, prefix: "opt/py" };
    const plan = planOf(Image.fromRegistry("debian", { addPython: { version: "3.99", source } }));
    expect(downloads(plan)).toEqual([["https://x.example/p.tar.xz", `sha256:${sha256}`]]);
    expect(copiesOf(plan).at(-1)?.[0]).toBe("/opt/py");
  });

  it("comes from a directory, of which nothing else is sent", () => {
    const image = Image.fromRegistry("debian", { addPython: { version: "3.12", source: "./pythons" } });
    expect(needsWith(image).needs).toMatchObject({
      trees: [{ kind: "dir", path: "./pythons", ignore: ["*", "!cpython-3.12.10?20250529-*"] }],
      listings: [{ path: "./pythons", patterns: ["cpython-3.12.10?20250529-*"] }],
    });
    expect(thrown(() => planOf(image))).toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
      message: expect.stringContaining(
        "pythons/cpython-3.12.10+20250529-x86_64-unknown-linux-gnu-install_only",
      ),
      hint: expect.stringContaining("https://github.com/"),
      location: { file: import.meta.filename },
    });
  });

  it("is not added to a base that says it has the same", () => {
    const image = Image.fromRegistry("python", { addPython: "3.13" });
    expect(downloads(planOf(image, {}, { Env: ["PYTHON_VERSION=3.13.9"] }))).toEqual([]);
    expect(downloads(planOf(image, {}, { Env: ["PYTHON_VERSION=3.1.3"] }))).toHaveLength(1);
  });

  it.each([
    ["a platform", {}, { platform: { os: "linux", architecture: "s390x" } }, "linux/s390x with gnu"],
    ["a C library", { libc: "musl" }, arm64, "linux/arm64 with musl"],
  ] as const)("is refused for %s without one", (_title, more, extra, message) => {
    const image = Image.fromRegistry("debian", { addPython: { version: "3.12", ...more } });
    expect(thrown(() => planOf(image, {}, {}, extra))).toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      message: expect.stringContaining(message),
      hint: expect.stringContaining("x86_64-unknown-linux-musl"),
      location: { file: import.meta.filename },
    });
  });
});

const wrong: readonly (readonly [string, unknown, string, RegExp])[] = [
  ["a number", 3.12, "ERR_KILN_INVALID_ARGUMENT", /in quotes/],
  ["a full version", "3.12.4", "ERR_KILN_INVALID_ARGUMENT", /addPython: "3\.12"/],
  ["an unknown series", "3.99", "ERR_KILN_INVALID_ARGUMENT", /addPython\.source/],
  ["no version", {}, "ERR_KILN_INVALID_ARGUMENT", /addPython: "3\.12"/],
  ["an unknown C library", { version: "3.12", libc: "uclibc" }, "ERR_KILN_INVALID_ARGUMENT", /"gnu"/],
  ["an unknown key", { version: "3.12", mirror: "x" }, "ERR_KILN_UNKNOWN_OPTION", /version, libc, source/],
  ["no digest", { version: "3.12", source: { url: "https://x.example/p" } }, "ERR_KILN_INVALID_DIGEST", /64/],
  [
    "no address",
    { version: "3.12", source: { url: "./p.tar", sha256 } },
    "ERR_KILN_INVALID_ARGUMENT",
    /https:\/\/mirror/,
  ],
  ["no source", { version: "3.12", source: 1 }, "ERR_KILN_INVALID_ARGUMENT", /\{ url, sha256 \}/],
];
it.each(wrong)("refuses %s at the call", (_title, addPython, code, hint) => {
  const error = thrown(() => Image.fromRegistry("debian", { addPython: addPython as never }));
  expect(error).toMatchObject({ code, location: { file: import.meta.filename } });
  expect(error.hint ?? "").toMatch(hint);
});

it.each([
  ["3.12", ["RUN ln -s /usr/local/bin/python3 /usr/local/bin/python"]],
  ["3.13", []],
  ["3.14t", []],
])("is what Modal's builder does for %s, before setup lines", (version, link) => {
  const image = Image.fromRegistry("debian", { addPython: version, setupDockerfileCommands: ["RUN x"] });
  expect(image.toModalLayers()[0]?.commands).toEqual([
    "FROM debian",
    "COPY /python/. /usr/local",
    ...link,
    "ENV TERMINFO_DIRS=/etc/terminfo:/lib/terminfo:/usr/share/terminfo:/usr/lib/terminfo",
    "RUN x",
  ]);
});

it("has a form in a Dockerfile", () => {
  const source = { url: "https://x.example/p.tar.gz", sha256 };
  expect(Image.fromRegistry("debian", { addPython: { version: "3.12", source } }).toDockerfile()).toBe(
    [
      "FROM scratch AS kiln-archive-1",
      `ADD --checksum=sha256:${sha256} --unpack=true https://x.example/p.tar.gz /`,
      "",
      "FROM docker.io/library/debian:latest",
      "COPY --from=kiln-archive-1 --chown=0:0 /python/ /usr/local/",
      'ENV TERMINFO_DIRS="/etc/terminfo:/lib/terminfo:/usr/share/terminfo:/usr/lib/terminfo"',
      "",
    ].join("\n"),
  );
});
