import ts from "typescript";
import type { SourceTree } from "./source-tree.js";

/**
 * Lists the exported declarations that have no documentation comment: everything a file exports, and the
 * public methods and accessors of exported classes, unless their contract is the language's own (iterators,
 * `Symbol.…` members, `toString`) or they override what a base class documents.
 *
 * @returns `path:line: name`, in the order of the files.
 */
export function undocumentedIn(tree: SourceTree): readonly string[] {
  const found: string[] = [];
  for (const [path, text] of tree) {
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
    const exportedByName = namesExportedApart(file);
    const documented = new Set<string>();
    const report = (node: ts.Node, name: string): void => {
      if (isDocumented(node)) documented.add(name);
      // The comment on the first of several overloads speaks for all of them.
      if (documented.has(name)) return;
      found.push(`${path}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1}: ${name}`);
    };
    for (const statement of file.statements) {
      const names = namesDeclaredBy(statement);
      const isExported = hasModifier(statement, ts.SyntaxKind.ExportKeyword);
      for (const name of names) if (isExported || exportedByName.has(name)) report(statement, name);
      if (!ts.isClassDeclaration(statement) || !isExported) continue;
      for (const member of statement.members) {
        const name = publicMemberName(member);
        if (name !== undefined) report(member, `${names[0] ?? "class"}.${name}`);
      }
    }
  }
  return found;
}

/** Names in `export { a, b as c }` without a module, by their local name. */
function namesExportedApart(file: ts.SourceFile): ReadonlySet<string> {
  const names = new Set<string>();
  for (const statement of file.statements) {
    if (!ts.isExportDeclaration(statement) || statement.moduleSpecifier !== undefined) continue;
    if (statement.exportClause === undefined || !ts.isNamedExports(statement.exportClause)) continue;
    for (const element of statement.exportClause.elements) {
      names.add((element.propertyName ?? element.name).text);
    }
  }
  return names;
}

function namesDeclaredBy(statement: ts.Statement): readonly string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map((declaration) => declaration.name.getText());
  }
  const isNamed =
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isModuleDeclaration(statement);
  return isNamed ? [statement.name?.text ?? "default"] : [];
}

/** Members whose contract is the language's own. */
const KNOWN_MEMBERS = ["next", "return", "throw", "toString", "toJSON"];

function publicMemberName(member: ts.ClassElement): string | undefined {
  const isCallable = ts.isMethodDeclaration(member) || ts.isAccessor(member);
  if (!isCallable || !ts.isIdentifier(member.name) || KNOWN_MEMBERS.includes(member.name.text))
    return undefined;
  return hasModifier(member, ts.SyntaxKind.OverrideKeyword) ? undefined : member.name.text;
}

function hasModifier(node: ts.Node, kind: ts.SyntaxKind): boolean {
  return ts.canHaveModifiers(node) && ts.getModifiers(node)?.some((one) => one.kind === kind) === true;
}

function isDocumented(node: ts.Node): boolean {
  return ts.getJSDocCommentsAndTags(node).some((comment) => {
    if (!ts.isJSDoc(comment)) return false;
    return (ts.getTextOfJSDocComment(comment.comment) ?? "").trim() !== "" || comment.tags !== undefined;
  });
}
