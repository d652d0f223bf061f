import { expect, test } from "vitest";
import { readSourceTree } from "./source-tree.js";
import { undocumentedIn } from "./undocumented.js";

test("every export says what it is for", () => {
  const written = [...readSourceTree()].filter(([path]) => !path.startsWith("src/gen/"));
  expect(undocumentedIn(new Map(written))).toEqual([]);
});

test("an export without a documentation comment is found", () => {
  const text = `
/** Documented. */
export const a = 1;
export const b = 1;
// Not a documentation comment.
export function c(): void {}
/** */
export interface D {}
export type E = 1;
/** Documented. */
export class F {
  g(): void {}
  /** Documented. */
  h(): void {}
  get i(): number { return 1; }
  #j(): void {}
  constructor() {}
  override toString(): string { return ""; }
  [Symbol.iterator](): void {}
}
/** Documented on the first overload. */
export function k(x: string): void;
export function k(x: number): void;
export function k(): void {}
const l = 1;
const m = 1;
export { l };
`;
  expect(undocumentedIn(new Map([["src/x.ts", text]]))).toEqual([
    "src/x.ts:4: b",
    "src/x.ts:6: c",
    "src/x.ts:8: D",
    "src/x.ts:9: E",
    "src/x.ts:12: F.g",
    "src/x.ts:15: F.i",
    "src/x.ts:25: l",
  ]);
});
