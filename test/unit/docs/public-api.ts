import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";

const root = new URL("../../../", import.meta.url);

/** A public member of a class. */
export interface Member {
  readonly name: string;
  readonly isStatic: boolean;
  /** Keys of the options object that it takes last; empty if it takes none. */
  readonly options: ReadonlySet<string>;
}

/** The types that sources declare, read from their syntax alone. */
export class Declarations {
  readonly #types = new Map<string, ts.InterfaceDeclaration | ts.TypeAliasDeclaration>();
  readonly #classes = new Map<string, ts.ClassDeclaration>();

  constructor(folders: readonly string[]) {
    for (const folder of folders) {
      for (const name of readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })) {
        if (!name.endsWith(".ts")) continue;
        const text = readFileSync(new URL(`${folder}/${name}`, root), "utf8");
        for (const statement of ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true).statements) {
          if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) {
            this.#types.set(statement.name.text, statement);
          } else if (ts.isClassDeclaration(statement) && statement.name !== undefined) {
            this.#classes.set(statement.name.text, statement);
          }
        }
      }
    }
  }

  /** Public methods and accessors of a class. */
  members(className: string): readonly Member[] {
    return (this.#classes.get(className)?.members ?? []).flatMap((member) => {
      if (!ts.isMethodDeclaration(member) && !ts.isGetAccessorDeclaration(member)) return [];
      if (!ts.isIdentifier(member.name)) return [];
      const last = member.parameters.at(-1)?.type;
      const options = last === undefined ? [] : this.#optionKeys(last);
      const isStatic = member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword) === true;
      return [{ name: member.name.text, isStatic, options: new Set(options) }];
    });
  }

  /** Keys of an interface or of an alias. */
  keys(typeName: string): readonly string[] {
    const declaration = this.#types.get(typeName);
    if (declaration === undefined) return [];
    if (ts.isTypeAliasDeclaration(declaration)) return this.#keysOf(declaration.type);
    const inherited = declaration.heritageClauses?.flatMap(({ types }) => types) ?? [];
    return [
      ...namesOf(declaration.members),
      ...inherited.flatMap(({ expression, typeArguments }) =>
        this.#keysOfNamed(expression.getText(), typeArguments ?? []),
      ),
    ];
  }

  /** Of a parameter: what is no object of options (a list, a record, an image) has none. */
  #optionKeys(type: ts.TypeNode): readonly string[] {
    if (ts.isParenthesizedTypeNode(type)) return this.#optionKeys(type.type);
    if (ts.isTypeOperatorNode(type)) return this.#optionKeys(type.type);
    if (ts.isUnionTypeNode(type)) return type.types.flatMap((each) => this.#optionKeys(each));
    if (ts.isTupleTypeNode(type)) return type.elements.flatMap((each) => this.#optionKeys(each));
    if (ts.isNamedTupleMember(type)) return this.#optionKeys(type.type);
    if (ts.isTypeReferenceNode(type)) {
      const [first] = type.typeArguments ?? [];
      if (type.typeName.getText() === "Variadic" && first !== undefined) return this.#keysOf(first);
    }
    return ts.isTypeReferenceNode(type) || ts.isTypeLiteralNode(type) ? this.#keysOf(type) : [];
  }

  #keysOf(type: ts.TypeNode): readonly string[] {
    if (ts.isTypeLiteralNode(type)) return namesOf(type.members);
    if (ts.isParenthesizedTypeNode(type)) return this.#keysOf(type.type);
    if (ts.isUnionTypeNode(type) || ts.isIntersectionTypeNode(type)) {
      return type.types.flatMap((each) => this.#keysOf(each));
    }
    return ts.isTypeReferenceNode(type)
      ? this.#keysOfNamed(type.typeName.getText(), type.typeArguments ?? [])
      : [];
  }

  #keysOfNamed(name: string, given: readonly ts.TypeNode[]): readonly string[] {
    const [type, keys] = given;
    if ((name === "Pick" || name === "Omit") && type !== undefined && keys !== undefined) {
      const named: readonly string[] = keys.getText().match(/\w+/g) ?? [];
      return name === "Pick" ? named : this.#keysOf(type).filter((key) => !named.includes(key));
    }
    return this.keys(name);
  }
}

function namesOf(members: ts.NodeArray<ts.TypeElement>): readonly string[] {
  return members.flatMap(({ name }) => (name !== undefined && ts.isIdentifier(name) ? [name.text] : []));
}
