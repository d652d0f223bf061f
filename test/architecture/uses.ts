import ts from "typescript";

/** One place where a file names another module or touches something global. */
export type Use =
  | { readonly kind: "import"; readonly specifier: string; readonly line: number; readonly typeOnly: boolean }
  | { readonly kind: "computed-import"; readonly line: number }
  | { readonly kind: "global"; readonly name: string; readonly line: number };

/**
 * Lists what a file uses: static and dynamic imports, re-exports, type imports, `require`, worker files
 * named by `new URL("./x.js", import.meta.url)`, and those globals that the house rules speak of.
 */
export function usesOf(path: string, text: string): readonly Use[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const uses: Use[] = [];
  const lineOf = (node: ts.Node): number => file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
  const addImport = (node: ts.Node, specifier: string): void => {
    const typeOnly =
      (ts.isImportDeclaration(node) && node.importClause?.isTypeOnly === true) ||
      (ts.isExportDeclaration(node) && node.isTypeOnly) ||
      ts.isImportTypeNode(node);
    uses.push({ kind: "import", specifier, line: lineOf(node), typeOnly });
  };
  for (const reference of file.referencedFiles) {
    uses.push({ kind: "import", specifier: reference.fileName, line: 1, typeOnly: false });
  }

  const visit = (node: ts.Node): void => {
    if (
      (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) &&
      node.moduleSpecifier !== undefined
    ) {
      if (ts.isStringLiteral(node.moduleSpecifier)) addImport(node, node.moduleSpecifier.text);
      if (ts.isImportDeclaration(node)) addNamedGlobals(node);
    } else if (ts.isImportTypeNode(node)) {
      if (ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
        addImport(node, node.argument.literal.text);
      }
    } else if (ts.isExternalModuleReference(node)) {
      if (ts.isStringLiteral(node.expression)) addImport(node, node.expression.text);
    } else if (ts.isCallExpression(node)) {
      visitCall(node);
    } else if (ts.isNewExpression(node)) {
      visitNew(node);
    } else if (ts.isPropertyAccessExpression(node)) {
      addMember(node, node.expression, node.name.text);
    } else if (ts.isElementAccessExpression(node) && ts.isStringLiteral(node.argumentExpression)) {
      addMember(node, node.expression, node.argumentExpression.text);
    } else if (ts.isIdentifier(node) && isBareReference(node)) {
      uses.push({ kind: "global", name: node.text, line: lineOf(node) });
    }
    ts.forEachChild(node, visit);
  };

  const visitCall = (node: ts.CallExpression): void => {
    const isImport = node.expression.kind === ts.SyntaxKind.ImportKeyword;
    const isRequire = ts.isIdentifier(node.expression) && node.expression.text === "require";
    if (!isImport && !isRequire) return;
    const argument = node.arguments[0];
    if (argument !== undefined && ts.isStringLiteralLike(argument)) addImport(node, argument.text);
    else uses.push({ kind: "computed-import", line: lineOf(node) });
  };

  const visitNew = (node: ts.NewExpression): void => {
    if (!ts.isIdentifier(node.expression)) return;
    const [first, second] = node.arguments ?? [];
    if (node.expression.text === "URL" && first !== undefined && second !== undefined) {
      const namesAModule = ts.isStringLiteralLike(first) && /^\..*\.js$/.test(first.text);
      if (namesAModule && second.getText(file) === "import.meta.url") addImport(node, first.text);
    }
    if (node.expression.text === "Date" && first === undefined) {
      uses.push({ kind: "global", name: "new Date()", line: lineOf(node) });
    }
  };

  const addMember = (node: ts.Node, owner: ts.Expression, member: string): void => {
    const name = owner.getText(file).replace(/^globalThis\./, "");
    uses.push({
      kind: "global",
      name: name === "globalThis" ? member : `${name}.${member}`,
      line: lineOf(node),
    });
  };

  const addNamedGlobals = (node: ts.ImportDeclaration): void => {
    const bindings = node.importClause?.namedBindings;
    if (bindings === undefined || !ts.isNamedImports(bindings) || !ts.isStringLiteral(node.moduleSpecifier))
      return;
    const owner = /^(?:node:)?(process|crypto|console)$/.exec(node.moduleSpecifier.text)?.[1];
    if (owner === undefined) return;
    for (const element of bindings.elements) {
      const name = `${owner}.${(element.propertyName ?? element.name).text}`;
      uses.push({ kind: "global", name, line: lineOf(element) });
    }
  };

  visit(file);
  return uses;
}

/** Tells an identifier that stands for a value from one that is only a member's or a property's name. */
function isBareReference(node: ts.Identifier): boolean {
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent) || ts.isElementAccessExpression(parent)) return false;
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node;
  if (ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent)) return false;
  if (ts.isPropertySignature(parent) || ts.isPropertyDeclaration(parent)) return parent.name !== node;
  if (ts.isMethodDeclaration(parent) || ts.isMethodSignature(parent)) return false;
  if (ts.isBindingElement(parent)) return parent.propertyName === undefined && parent.initializer === node;
  if (ts.isParameter(parent) || ts.isVariableDeclaration(parent)) return parent.initializer === node;
  return !ts.isTypeNode(parent) && !ts.isQualifiedName(parent);
}
