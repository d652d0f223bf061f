/** What can be printed as a snapshot: an `Image`, a `Plan`. */
export interface Snapshotted {
  toSnapshot(): string;
}

/** What a test runner's serializer of snapshots is, as far as it is needed here (vitest's and Jest's are alike). */
export interface KilnSerializer {
  test(value: unknown): boolean;
  serialize(value: unknown, config: unknown, indentation: string): string;
}

/**
 * Prints images and plans in snapshots as `toSnapshot` does: `expect.addSnapshotSerializer(kilnSerializer)`, then
 * `expect(image).toMatchSnapshot()`, `toMatchInlineSnapshot()`, `toMatchFileSnapshot(file)`.
 */
export const kilnSerializer: KilnSerializer = {
  test: isSnapshotted,
  serialize: (value, _config, indentation) =>
    isSnapshotted(value)
      ? value.toSnapshot().trimEnd().replaceAll("\n", `\n${indentation}`).replaceAll(/ +$/gm, "")
      : "",
};

/** What a matcher answers. */
export interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
  /** What was there and what should have been, of which the runner shows the difference. */
  readonly actual?: unknown;
  readonly expected?: unknown;
}

/** The matchers of {@link kilnMatchers}, for the declarations of a test runner. */
export interface KilnMatchers {
  /** The image or plan is that of `expected`: an image, a plan, or the text of a snapshot. */
  toHaveKilnSnapshot(expected: Snapshotted | string): void;
}

/**
 * Matchers for `expect.extend(kilnMatchers)`. `toHaveKilnSnapshot` compares images (or plans) step by step and shows the
 * difference by lines.
 *
 * In TypeScript, once: `declare module "vitest" { interface Matchers<T = any> extends KilnMatchers {} }`.
 */
export const kilnMatchers: {
  readonly toHaveKilnSnapshot: (received: unknown, expected: unknown) => MatcherResult;
} = {
  toHaveKilnSnapshot(received, expected) {
    if (!isSnapshotted(received)) {
      throw new TypeError(
        `toHaveKilnSnapshot: expect(…) must be of an Image or a Plan, got ${typeof received}`,
      );
    }
    if (typeof expected !== "string" && !isSnapshotted(expected)) {
      throw new TypeError(
        `toHaveKilnSnapshot needs an Image, a Plan or a snapshot's text, got ${typeof expected}`,
      );
    }
    const [actual, wanted] = [received, expected].map(snapshotText) as [string, string];
    const differing = firstDifference(actual, wanted);
    return {
      pass: differing === undefined,
      message: () =>
        differing === undefined
          ? "expected the snapshot to be another one"
          : `expected the same snapshot; line ${differing + 1} is the first to differ`,
      actual,
      expected: wanted,
    };
  },
};

/**
 * Lets `toEqual`, `toHaveBeenCalledWith` and the like tell images and plans apart:
 * `expect.addEqualityTesters([kilnEquality])`. Without it any two images are equal to them, as they have no fields that
 * a test runner sees.
 */
export function kilnEquality(a: unknown, b: unknown): boolean | undefined {
  if (!isSnapshotted(a) && !isSnapshotted(b)) return undefined;
  return isSnapshotted(a) && isSnapshotted(b) && a.toSnapshot() === b.toSnapshot();
}

function isSnapshotted(value: unknown): value is Snapshotted {
  return (
    typeof value === "object" &&
    value !== null &&
    "toSnapshot" in value &&
    typeof value.toSnapshot === "function"
  );
}

/** The text of a snapshot; indentation that it got from standing in a program is taken off. */
function snapshotText(value: Snapshotted | string): string {
  const text = typeof value === "string" ? value : value.toSnapshot();
  const lines = text.replaceAll("\r\n", "\n").replace(/^\n/, "").trimEnd().split("\n");
  const indents = lines.filter((line) => line.trim() !== "").map((line) => /^ */.exec(line)?.[0].length ?? 0);
  const indent = Math.min(...indents);
  return lines.map((line) => line.slice(indent).trimEnd()).join("\n");
}

/** Index of the first line that differs. */
function firstDifference(a: string, b: string): number | undefined {
  if (a === b) return undefined;
  const [left, right] = [a.split("\n"), b.split("\n")];
  const index = left.findIndex((line, place) => line !== right[place]);
  return index < 0 ? left.length : index;
}
