import type { Definition } from "./definition.js";
import type { VertexKind } from "./vertex-info.js";

const shapes: Readonly<Record<VertexKind, string>> = {
  source: "ellipse",
  exec: "box",
  file: "note",
  merge: "invtriangle",
  diff: "doublecircle",
  build: "box3d",
  passthrough: "cds",
  unknown: "octagon",
};

const longestLabel = 120;

/**
 * A definition as a graph in the DOT language: one node an op, one edge an input, labelled with the number of the
 * result where it is not the first.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if an op of a foreign definition cannot be read.
 */
export function toDot(definition: Definition): string {
  const lines = ["digraph llb {", "  rankdir=LR;"];
  const names = new Map<string, string>();
  const edge = (from: { readonly digest: string; readonly index: number }, to: string): void => {
    const label = from.index === 0 ? "" : ` [label="${from.index}"]`;
    lines.push(`  ${names.get(from.digest) ?? quoted(from.digest)} -> ${to}${label};`);
  };
  for (const [index, { digest, kind, name, inputs }] of definition.vertices().entries()) {
    const node = `op${index + 1}`;
    names.set(digest, node);
    const label = name.length > longestLabel ? `${name.slice(0, longestLabel)}…` : name;
    lines.push(`  ${node} [shape=${shapes[kind]}, label=${quoted(label)}, tooltip=${quoted(digest)}];`);
    for (const input of inputs) edge(input, node);
  }
  const head = definition.head();
  if (head !== undefined) {
    lines.push('  result [shape=plaintext, label="result"];');
    edge(head, "result");
  }
  return `${lines.join("\n")}\n}\n`;
}

function quoted(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll(/\r?\n/g, "\\n");
  // Control characters mean nothing to a renderer and could steer a terminal.
  return `"${escaped.replaceAll(/\p{Cc}/gu, " ")}"`;
}
