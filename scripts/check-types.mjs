// Finds promises that nobody awaits, with the compiler's own types, and all that the compiler itself finds: both need
// the types of everything, which take most of the time.
//
// The linter's rule knows promises by its own inference, which ends at packages' declarations and at members
// that hold functions. This check sees every type that the compiler sees. It refuses
//   - a statement whose value is a promise, or an array of promises, and
//   - a function that returns a promise where its caller expects nothing,
// unless the promise is awaited, has a rejection handler, or is dropped on purpose with `void`.
//
// Usage: node scripts/check-types.mjs [tsconfig.json]
// Exits with 1 when there is a finding and 2 when the configuration cannot be read.

import { relative, resolve } from "node:path";
import ts from "typescript";

const configPath = resolve(process.argv[2] ?? "tsconfig.json");
const host = {
  ...ts.sys,
  getCanonicalFileName: (name) => name,
  getNewLine: () => "\n",
  onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
    console.error(ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n"));
    process.exit(2);
  },
};
const config = ts.getParsedCommandLineOfConfigFile(configPath, undefined, host);
const program = ts.createProgram({ rootNames: config.fileNames, options: config.options });
const checker = program.getTypeChecker();
const errors = [...config.errors, ...ts.getPreEmitDiagnostics(program)];
const findings = errors.length === 0 ? [] : [ts.formatDiagnostics(errors, host).trimEnd()];

for (const file of program.getSourceFiles()) {
  if (file.isDeclarationFile || program.isSourceFileFromExternalLibrary(file)) continue;
  if (file.text.startsWith("// @generated")) continue;
  visit(file);
}
for (const finding of findings) console.error(finding);
if (findings.length > 0) process.exit(1);

function visit(node) {
  if (ts.isExpressionStatement(node) && isDropped(node.expression)) {
    report(node, "a promise is neither awaited nor handled");
  } else if ((ts.isArrowFunction(node) || ts.isFunctionExpression(node)) && isMisplaced(node)) {
    report(node, "a function returns a promise where nothing awaits it");
  }
  ts.forEachChild(node, visit);
}

function report(node, problem) {
  const file = node.getSourceFile();
  const { line, character } = file.getLineAndCharacterOfPosition(node.getStart(file));
  findings.push(`${relative(process.cwd(), file.fileName)}:${line + 1}:${character + 1}: ${problem}`);
}

function isDropped(expression) {
  if (ts.isParenthesizedExpression(expression)) return isDropped(expression.expression);
  if (ts.isBinaryExpression(expression) && isAssignment(expression.operatorToken.kind)) return false;
  return holdsPromise(checker.getTypeAtLocation(expression)) && !handlesRejection(expression);
}

function isAssignment(kind) {
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;
}

function holdsPromise(type) {
  if (isPromise(type)) return true;
  const element = checker.isArrayLikeType(type)
    ? checker.getIndexTypeOfType(type, ts.IndexKind.Number)
    : undefined;
  return element !== undefined && isPromise(element);
}

/** A type with a `then` that awaiting would call, or a union with such a member. */
function isPromise(type) {
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.Never)) return false;
  if (type.isUnion()) return type.types.some(isPromise);
  return checker.getPropertyOfType(type, "then") !== undefined && checker.getAwaitedType(type) !== type;
}

function handlesRejection(expression) {
  if (!ts.isCallExpression(expression) || !ts.isPropertyAccessExpression(expression.expression)) return false;
  const { expression: target, arguments: args } = expression;
  if (target.name.text === "catch") return args.length > 0;
  if (target.name.text === "then") return args.length > 1;
  return target.name.text === "finally" && handlesRejection(target.expression);
}

/** A function literal that yields a promise, where the type around it asks for a function of no result. */
function isMisplaced(node) {
  const wanted = checker.getContextualType(node);
  const types = wanted?.isUnion() ? wanted.types : wanted === undefined ? [] : [wanted];
  const signatures = types.flatMap((type) => type.getCallSignatures());
  if (signatures.length === 0) return false;
  if (!signatures.every((one) => one.getReturnType().flags & ts.TypeFlags.Void)) return false;
  const own = checker.getSignatureFromDeclaration(node);
  return own !== undefined && isPromise(own.getReturnType());
}
