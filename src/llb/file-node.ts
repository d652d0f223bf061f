import type { Constraints } from "./constraints.js";
import type { BoundActions, FileAction, FileStep } from "./file-action.js";
import type { StateProps } from "./state-props.js";
import type { Output } from "./vertex.js";

/** File operations before they are encoded. */
export interface FileNode {
  readonly kind: "file";
  readonly actions: BoundActions;
  readonly constraints: Constraints;
}

/** One file operation in its place: which operations it follows and what it reads from. */
export interface PlacedStep {
  readonly step: FileStep;
  readonly base: StateProps;
  /** Position of the operation before it; `undefined` = it starts from `base`. */
  readonly previous: number | undefined;
  /** What a copy reads: a state, or the position of another operation. */
  readonly source: StateProps | number | undefined;
}

/** Whether a copy's source is other operations of the same op. */
export function isBound(source: StateProps | BoundActions): source is BoundActions {
  return "last" in source;
}

/**
 * The filesystems that file operations read, each once, in the order in which Go's client visits them: the base,
 * then the sources of the copies from the last to the first, going into the operations that a copy reads from.
 */
export function fileInputs(node: FileNode): readonly Output[] {
  const outputs = new Set<Output>();
  const add = (output: Output | undefined): void => {
    if (output !== undefined) outputs.add(output);
  };
  const pending: Frame[] = [frameOf(node.actions)];
  while (pending.length > 0) {
    const frame = pending[pending.length - 1] as Frame;
    add(frame.base.output);
    const step = frame.steps[frame.next - 1];
    if (step === undefined) {
      pending.pop();
      continue;
    }
    frame.next -= 1;
    if (step.action.kind !== "copy") continue;
    if (isBound(step.action.source)) pending.push(frameOf(step.action.source));
    else add(step.action.source.output);
  }
  return [...outputs];
}

interface Frame {
  readonly base: StateProps;
  readonly steps: readonly FileStep[];
  next: number;
}

function frameOf(actions: BoundActions): Frame {
  const steps = stepsOf(actions.last);
  return { base: actions.base, steps, next: steps.length };
}

function stepsOf(action: FileAction): readonly FileStep[] {
  return action.steps();
}

/**
 * All operations of an op in the order in which they are sent: those that a copy reads from before the copy, each
 * group once however often it is read. Nothing recurses, so that groups may be nested at will.
 */
export function placeSteps(node: FileNode, visit: (base: Output) => void): readonly PlacedStep[] {
  const placed: PlacedStep[] = [];
  const positions = new Map<BoundActions, number>();
  const pending: PlaceFrame[] = [placeFrame(node.actions)];
  while (pending.length > 0) {
    const frame = pending[pending.length - 1] as PlaceFrame;
    const step = frame.steps[frame.next];
    if (step === undefined) {
      if (frame.previous !== undefined) positions.set(frame.actions, frame.previous);
      pending.pop();
      continue;
    }
    const { base } = frame.actions;
    if (base.output !== undefined) visit(base.output);
    let source: PlacedStep["source"];
    if (step.action.kind === "copy") {
      source = isBound(step.action.source) ? positions.get(step.action.source) : step.action.source;
      if (source === undefined && isBound(step.action.source)) {
        pending.push(placeFrame(step.action.source));
        continue;
      }
      if (typeof source === "object" && source.output !== undefined) visit(source.output);
    }
    frame.previous = placed.push({ step, base, previous: frame.previous, source }) - 1;
    frame.next += 1;
  }
  return placed;
}

interface PlaceFrame {
  readonly actions: BoundActions;
  readonly steps: readonly FileStep[];
  next: number;
  previous: number | undefined;
}

function placeFrame(actions: BoundActions): PlaceFrame {
  return { actions, steps: stepsOf(actions.last), next: 0, previous: undefined };
}
