import { dirname, join } from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";
import { readSourceTree, type SourceTree } from "./source-tree.js";

/**
 * What is loaded with a module, in the form in which it runs: dynamic imports and types are not. As the compiler is told to
 * keep modules as they are written (`verbatimModuleSyntax`), that is what is not marked as a type as a whole.
 */
function loadedWith(entry: string, tree: SourceTree): ReadonlyMap<string, string> {
  const loadedBy = new Map([[entry, "the test"]]);
  for (const [path] of loadedBy) {
    const text = tree.get(path);
    if (text === undefined) continue;
    for (const specifier of staticImports(path, text)) {
      const name = specifier.startsWith(".")
        ? join(dirname(path), specifier).replace(/\.js$/, ".ts")
        : specifier;
      if (!loadedBy.has(name)) loadedBy.set(name, path);
    }
  }
  return loadedBy;
}

function staticImports(path: string, text: string): readonly string[] {
  return ts.createSourceFile(path, text, ts.ScriptTarget.ES2022).statements.flatMap((statement) => {
    if (ts.isImportDeclaration(statement)) {
      if (statement.importClause?.isTypeOnly === true) return [];
    } else if (!ts.isExportDeclaration(statement) || statement.isTypeOnly) return [];
    const { moduleSpecifier } = statement;
    return moduleSpecifier !== undefined && ts.isStringLiteral(moduleSpecifier) ? [moduleSpecifier.text] : [];
  });
}

const tree = readSourceTree();

/** What a program may need later, and takes long to load: gRPC, generated code and what it is made of, parsers. */
const HEAVY =
  /^(?:@grpc\/|@bufbuild\/|src\/gen\/|(?:commander|jiti|tar-stream|valibot)(?:\/|$)|node:http2?$|node:tls$)/;

/** The heavy ones among what is loaded with a module, each with the file that loads it. */
function heavyIn(entry: string): readonly string[] {
  return [...loadedWith(entry, tree)]
    .filter(([name]) => HEAVY.test(name))
    .map(([name, by]) => `${name} by ${by}`);
}

it("importing the package loads neither gRPC, nor generated code, nor what every build loads when it starts", () => {
  const loaded = loadedWith("src/index.ts", tree);
  expect(loaded.has("src/engine/engine.ts")).toBe(true);
  expect(loaded.has("src/engine/run-build.ts")).toBe(false);
  expect(heavyIn("src/index.ts")).toEqual([]);
});

it.each([
  "src/image/compile.ts",
  "src/engine/inputs/gather.ts",
  "src/engine/run-build.ts",
  "src/engine/carry-out.ts",
  "src/cli/main.ts",
  "src/cli/commands/build.ts",
])(
  "%s loads nothing heavy: an image that is unchanged or ends with a changed tree needs no more",
  (entry) => {
    expect(tree.has(entry)).toBe(true);
    expect(heavyIn(entry)).toEqual([]);
  },
);

it("the command loads little before it knows what is asked", () => {
  const loaded = [...loadedWith("src/cli/main.ts", tree).keys()].filter((name) => name.startsWith("src/"));
  expect(loaded.length).toBeLessThan(10);
});

it("sees what the client loads", () => {
  const loaded = loadedWith("src/solver/index.ts", tree);
  expect(loaded.has("@grpc/grpc-js")).toBe(true);
  expect(heavyIn("src/solver/index.ts").some((line) => line.startsWith("src/gen/"))).toBe(true);
  expect(heavyIn("src/cli/program.ts")).toEqual(["commander by src/cli/program.ts"]);
});
