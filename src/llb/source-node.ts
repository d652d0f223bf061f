import type { Constraints } from "./constraints.js";
import { type StateProps, startProps } from "./state-props.js";
import { type SourceNode, singleOutput } from "./vertex.js";

/** Collects attributes and capabilities of a source while its options are read. */
export interface SourceDraft {
  readonly attrs: Record<string, string>;
  readonly caps: Set<string>;
}

/** An empty draft. */
export function draftSource(): SourceDraft {
  return { attrs: {}, caps: new Set() };
}

/** Sets an attribute and, if given, the capability that it needs. */
export function setAttr(draft: SourceDraft, attr: string, value: string, cap?: string): void {
  draft.attrs[attr] = value;
  if (cap !== undefined) draft.caps.add(cap);
}

/** Props of the state that a source makes. */
export function sourceProps(identifier: string, draft: SourceDraft, constraints: Constraints): StateProps {
  const node: SourceNode = Object.freeze({
    kind: "source",
    identifier,
    attrs: Object.freeze(draft.attrs),
    constraints: Object.freeze({ ...constraints, caps: [...constraints.caps, ...draft.caps] }),
  });
  return startProps(singleOutput(node, constraints.platform));
}
