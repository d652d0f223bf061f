import type { StepFingerprint } from "../../model/step-input.js";
import { writtenAs } from "./step-keys.js";

/** Which step of a chain a step of another one was. */
export interface StepMatch {
  /** Index in the chain before. */
  readonly before: number;
  /** It stands at another place among its neighbours. */
  readonly moved: boolean;
}

/** Beyond this many pairs to look at, only common beginnings and ends are matched, and steps between them in order. */
const mostPairs = 1_000_000;

/**
 * Finds for each step of a chain the one that it was before: of steps that are written alike as many as possible in their
 * order; between those, steps of one kind in their order; of the rest, steps that are written alike have moved.
 */
export function alignSteps(
  before: readonly StepFingerprint[],
  after: readonly StepFingerprint[],
): readonly (StepMatch | undefined)[] {
  const [a, b] = [before.map(writtenAs), after.map(writtenAs)];
  const anchors = commonOrder(a, b);
  const matches: (StepMatch | undefined)[] = after.map(() => undefined);
  const taken = new Set<number>();
  const match = (pair: Pair, moved: boolean): void => {
    matches[pair[1]] = { before: pair[0], moved };
    taken.add(pair[0]);
  };
  for (const pair of anchors) match(pair, false);
  // A step that has moved is the same one, so that it must not be taken for a change of its new neighbour.
  for (const [index, text] of b.entries()) {
    if (matches[index] !== undefined) continue;
    const from = a.findIndex((other, at) => other === text && !taken.has(at));
    if (from >= 0) match([from, index], true);
  }
  let start: Pair = [-1, -1];
  for (const end of [...anchors, [before.length, after.length] as const]) {
    const left = range(start[0] + 1, end[0]).filter((at) => !taken.has(at));
    const right = range(start[1] + 1, end[1]).filter((at) => matches[at] === undefined);
    const pairs = commonOrder(
      left.map((at) => before[at]?.id ?? ""),
      right.map((at) => after[at]?.id ?? ""),
    );
    for (const [x, y] of pairs) match([left[x] ?? 0, right[y] ?? 0], false);
    start = end;
  }
  return matches;
}

type Pair = readonly [before: number, after: number];

/** A longest sequence of equal texts that both lists have in this order. */
export function commonOrder(a: readonly string[], b: readonly string[]): readonly Pair[] {
  const shorter = Math.min(a.length, b.length);
  let head = 0;
  while (head < shorter && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const [n, m] = [a.length - head - tail, b.length - head - tail];
  const middle = n * m > mostPairs ? [] : commonMiddle(a.slice(head, head + n), b.slice(head, head + m));
  return [
    ...range(0, head).map((at): Pair => [at, at]),
    ...middle.map(([x, y]): Pair => [x + head, y + head]),
    ...range(0, tail).map((at): Pair => [a.length - tail + at, b.length - tail + at]),
  ];
}

function commonMiddle(a: readonly string[], b: readonly string[]): readonly Pair[] {
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  const at = (x: number, y: number): number => lengths[x * width + y] ?? 0;
  for (let x = a.length - 1; x >= 0; x -= 1) {
    for (let y = b.length - 1; y >= 0; y -= 1) {
      lengths[x * width + y] = a[x] === b[y] ? at(x + 1, y + 1) + 1 : Math.max(at(x + 1, y), at(x, y + 1));
    }
  }
  const pairs: Pair[] = [];
  for (let [x, y] = [0, 0]; x < a.length && y < b.length; ) {
    if (a[x] === b[y]) {
      pairs.push([x, y]);
      x += 1;
      y += 1;
    } else if (at(x + 1, y) >= at(x, y + 1)) x += 1;
    else y += 1;
  }
  return pairs;
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
}
