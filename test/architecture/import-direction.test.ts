import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { BUNDLED, ROOMS, violationsOf } from "./house-rules.js";
import { REPOSITORY, readSourceTree } from "./source-tree.js";

const manifest = JSON.parse(readFileSync(`${REPOSITORY}package.json`, "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};
const dependencies = new Set(Object.keys(manifest.dependencies));

test("the sources keep to the house's rules", () => {
  expect(violationsOf(readSourceTree(), dependencies)).toEqual([]);
});

test("packages that become part of the files are installed to develop alone", () => {
  expect([...BUNDLED].filter((name) => !Object.hasOwn(manifest.devDependencies, name))).toEqual([]);
  expect([...BUNDLED].filter((name) => dependencies.has(name))).toEqual([]);
});

test("the table names only rooms that it has", () => {
  const unknown = Object.values(ROOMS)
    .flat()
    .filter((room) => !Object.hasOwn(ROOMS, room));
  expect(unknown).toEqual([]);
});

test("no two rooms may import each other", () => {
  const mutual = Object.entries(ROOMS).flatMap(([room, allowed]) =>
    allowed.filter((other) => ROOMS[other]?.includes(room)).map((other) => `${room} and ${other}`),
  );
  expect(mutual).toEqual([]);
});

describe("each rule can fail", () => {
  const wrong: readonly (readonly [
    title: string,
    files: Record<string, string>,
    expected: readonly string[],
  ])[] = [
    [
      "a static import of a room that is not allowed",
      { "src/llb/a.ts": 'import { b } from "../rpc/b.js";', "src/rpc/b.ts": "" },
      ["src/llb/a.ts:1: llb may not import rpc"],
    ],
    [
      "a type import of a room that is not allowed",
      { "src/oci/a.ts": '\nimport type { B } from "../model/b.js";', "src/model/b.ts": "" },
      ["src/oci/a.ts:2: oci may not import model"],
    ],
    [
      "a type named by import() in a type position",
      { "src/rpc/a.ts": 'type A = import("../llb/b.js").B;', "src/llb/b.ts": "" },
      ["src/rpc/a.ts:1: rpc may not import llb"],
    ],
    [
      "a dynamic import of a room that is not allowed",
      { "src/image/a.ts": 'await import("../solver/b.js");', "src/solver/b.ts": "" },
      ["src/image/a.ts:1: image may not import solver"],
    ],
    [
      "a re-export from a room that is not allowed",
      { "src/cache/a.ts": 'export * from "../engine/b.js";', "src/engine/b.ts": "" },
      ["src/cache/a.ts:1: cache may not import engine"],
    ],
    [
      "a worker file of a room that is not allowed",
      { "src/oci/a.ts": 'new Worker(new URL("../fsutil/b.js", import.meta.url));', "src/fsutil/b.ts": "" },
      ["src/oci/a.ts:1: oci may not import fsutil"],
    ],
    [
      "an engine that needs provision",
      { "src/engine/a.ts": 'import "../provision/b.js";', "src/provision/b.ts": "" },
      ["src/engine/a.ts:1: engine may not import provision"],
    ],
    [
      "a command line that goes around the engine",
      { "src/cli/a.ts": 'import "../rpc/b.js";', "src/rpc/b.ts": "" },
      ["src/cli/a.ts:1: cli may not import rpc"],
    ],
    [
      "a room that imports testing",
      { "src/solver/a.ts": 'import "../testing/b.js";', "src/testing/b.ts": "" },
      ["src/solver/a.ts:1: solver may not import testing"],
    ],
    [
      "a room that imports the root barrel",
      { "src/cli/a.ts": 'import "../index.js";', "src/index.ts": "" },
      ["src/cli/a.ts:1: cli may not import the root barrel"],
    ],
    [
      "a root barrel that opens provision, the command line, test tools or generated code",
      {
        "src/index.ts": ["provision", "cli", "testing", "gen"]
          .map((r) => `export * from "./${r}/a.js";`)
          .join("\n"),
        "src/provision/a.ts": "",
        "src/cli/a.ts": "",
        "src/testing/a.ts": "",
        "src/gen/a.ts": "",
      },
      [
        "src/index.ts:1: index may not import provision",
        "src/index.ts:2: index may not import cli",
        "src/index.ts:3: index may not import testing",
        "src/index.ts:4: index may not import gen",
      ],
    ],
    [
      "an error model that imports a room",
      { "src/errors.ts": 'import "./internal/a.js";', "src/internal/a.ts": "" },
      ["src/errors.ts:1: errors.ts may not import internal"],
    ],
    [
      "a room that the table does not have",
      { "src/utils/a.ts": "" },
      ["src/utils/a.ts:1: is in no known room"],
    ],
    [
      "a folder of a room that imports another one that it may not",
      { "src/engine/registries/a.ts": 'import "../trees/b.js";', "src/engine/trees/b.ts": "" },
      ["src/engine/registries/a.ts:1: engine/registries may not import engine/trees"],
    ],
    [
      "a folder that the table does not have",
      { "src/cache/misc/a.ts": "" },
      ["src/cache/misc/a.ts:1: is in no known folder"],
    ],
    ["a file beside the rooms", { "src/helpers.ts": "" }, ["src/helpers.ts:1: is in no known room"]],
    [
      "an import that leaves src or that is not there",
      { "src/oci/a.ts": 'import "../../package.json";\nimport "./gone.js";' },
      [
        "src/oci/a.ts:1: imports ../../package.json, which is no file of src",
        "src/oci/a.ts:2: imports ./gone.js, which is no file of src",
      ],
    ],
    [
      "a computed import outside the command line",
      { "src/engine/a.ts": "await import(name);", "src/cli/a.ts": "await import(name);" },
      ["src/engine/a.ts:1: imports a module whose name is computed"],
    ],
    ...["fs", "fs/promises", "net", "http", "child_process", "os", "dgram", "tls"].flatMap((module) =>
      ["llb", "image"].map(
        (room) =>
          [
            `${room} that imports node:${module}`,
            { [`src/${room}/a.ts`]: `import "node:${module}";` },
            [`src/${room}/a.ts:1: ${room} may not import node:${module}`],
          ] as const,
      ),
    ),
    [
      "llb that asks the clock or for randomness",
      {
        "src/llb/a.ts":
          'import { randomUUID } from "node:crypto";\nDate.now();\nnew Date();\nMath.random();\nglobalThis.crypto.randomUUID();',
      },
      [
        "src/llb/a.ts:1: llb may not use crypto.randomUUID",
        "src/llb/a.ts:2: llb may not use Date.now",
        "src/llb/a.ts:3: llb may not use new Date()",
        "src/llb/a.ts:4: llb may not use Math.random",
        "src/llb/a.ts:5: llb may not use crypto.randomUUID",
      ],
    ],
    ["llb that fetches", { "src/llb/a.ts": "await fetch(url);" }, ["src/llb/a.ts:1: llb may not use fetch"]],
    [
      "gRPC outside rpc, session and testing",
      { "src/solver/a.ts": 'import type { Client } from "@grpc/grpc-js";' },
      ["src/solver/a.ts:1: solver may not import @grpc/grpc-js"],
    ],
    [
      "the parser of the command line outside cli",
      { "src/engine/a.ts": 'import { Command } from "commander";' },
      ["src/engine/a.ts:1: engine may not import commander"],
    ],
    [
      "a package that users would not have",
      { "src/oci/a.ts": 'import "vitest";' },
      ["src/oci/a.ts:1: vitest is no dependency of the package"],
    ],
    [
      "printing and exiting outside the command line",
      {
        "src/engine/a.ts":
          'console.log("x");\nprocess.stdout.write("x");\nprocess.exit(1);\nprocess.exitCode = 1;\nglobalThis.console.log("x");',
        "src/solver/b.ts": 'import { exit } from "node:process";\nconst log = console;\nprocess["exit"](1);',
      },
      [
        "src/engine/a.ts:1: engine may not use console.log",
        "src/engine/a.ts:2: engine may not use process.stdout",
        "src/engine/a.ts:3: engine may not use process.exit",
        "src/engine/a.ts:4: engine may not use process.exitCode",
        "src/engine/a.ts:5: engine may not use console.log",
        "src/engine/a.ts:5: engine may not use console",
        "src/solver/b.ts:1: solver may not use process.exit",
        "src/solver/b.ts:2: solver may not use console",
        "src/solver/b.ts:3: solver may not use process.exit",
      ],
    ],
    [
      "files that load one another in a circle",
      {
        "src/oci/a.ts": 'import "./b.js";',
        "src/oci/b.ts": 'import { type C, c } from "./c.js";',
        "src/oci/c.ts": 'export { a } from "./a.js";',
      },
      ["src/oci/a.ts:1: imports itself by way of src/oci/a.ts → src/oci/b.ts → src/oci/c.ts → src/oci/a.ts"],
    ],
  ];

  test.each(wrong)("%s", (_title, files, expected) => {
    expect(violationsOf(new Map(Object.entries(files)), dependencies)).toEqual(expected);
  });
});

test("what the rules allow passes", () => {
  const files = {
    "src/index.ts": 'export { Engine } from "./engine/a.js";\nexport { KilnError } from "./errors.js";',
    "src/errors.ts": "",
    "src/engine/a.ts": 'import "../errors.js";\nimport "../solver/a.js";\nsetTimeout(() => Date.now(), 1);',
    "src/solver/a.ts": 'import "../rpc/a.js";\nimport "node:fs";',
    "src/rpc/a.ts": 'import * as grpc from "@grpc/grpc-js";\nconst x = { console: 1, stdout: y.stdout };',
    "src/llb/a.ts": 'import { create } from "@bufbuild/protobuf";\nimport { createHash } from "node:crypto";',
    "src/cli/a.ts": "console.log(1);\nprocess.exit(0);",
  };
  expect(violationsOf(new Map(Object.entries(files)), dependencies)).toEqual([]);
});
