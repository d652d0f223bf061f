import { otherEngine, type TestEngine } from "./engines.js";

/** Address of an engine that has nothing in its cache of what was just built on one: the other of the two. */
export function elsewhere(engine: TestEngine): string {
  return otherEngine(engine).address;
}
