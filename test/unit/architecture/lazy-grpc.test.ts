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

it("importing the package loads neither gRPC nor what every build loads when it starts", () => {
  const loaded = loadedWith("src/index.ts", tree);
  expect(loaded.has("src/engine/engine.ts")).toBe(true);
  expect([...loaded].filter(([name]) => name.startsWith("@grpc/"))).toEqual([]);
  expect(loaded.has("src/engine/run-build.ts")).toBe(false);
});

it("sees what the client loads", () => {
  expect(loadedWith("src/solver/index.ts", tree).has("@grpc/grpc-js")).toBe(true);
});
