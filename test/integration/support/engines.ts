import { readFileSync } from "node:fs";
import { describe } from "vitest";

/** A running daemon that tests may use. */
export interface TestEngine {
  /** `modern` or `older`. */
  readonly name: string;
  /** E.g. `docker:///…/docker.sock`. */
  readonly address: string;
}

type BaseName = "busybox" | "debian" | "python" | "node";

interface TestEnvironment {
  readonly engines: readonly TestEngine[];
  readonly registry: string;
  readonly layouts: Readonly<Record<BaseName, string>>;
}

const file = new URL("../../../.kiln/test-env.json", import.meta.url);
let environment: TestEnvironment | undefined;

function load(): TestEnvironment {
  if (environment !== undefined) return environment;
  try {
    environment = JSON.parse(readFileSync(file, "utf8")) as TestEnvironment;
  } catch (error) {
    throw new Error("no test engines are set up: run `npm run engines up`, or the whole of `npm test`", {
      cause: error,
    });
  }
  return environment;
}

/** The daemons to test against; `KILN_TEST_ENGINES=older` narrows them. */
export function engines(): readonly TestEngine[] {
  const wanted = process.env["KILN_TEST_ENGINES"]?.split(",");
  return load().engines.filter(({ name }) => wanted === undefined || wanted.includes(name));
}

/** The one of the two engines that this is not, whatever engines tests run against: both are up. */
export function otherEngine({ name }: TestEngine): TestEngine {
  const other = load().engines.find((engine) => engine.name !== name);
  if (other === undefined) throw new Error(`no engine is set up but ${name}`);
  return other;
}

/** `host:port` of the test registry. */
export function registry(): string {
  return load().registry;
}

/** Directory of a base image's OCI layout. */
export function baseLayout(name: BaseName): string {
  return load().layouts[name];
}

/** Runs the same tests against each daemon. */
export function describeEachEngine(title: string, tests: (engine: TestEngine) => void): void {
  describe.each(engines())(`${title} ($name)`, tests);
}

/**
 * Runs tests against one daemon: those that take long, and whose outcome does not depend on the daemon.
 * `KILN_TEST_EVERY_ENGINE=1` runs them against each.
 */
export function describeOneEngine(
  name: "modern" | "older",
  title: string,
  tests: (engine: TestEngine) => void,
): void {
  const every = engines();
  const chosen =
    process.env["KILN_TEST_EVERY_ENGINE"] === "1" ? every : every.filter((one) => one.name === name);
  describe.each(chosen.length > 0 ? chosen : every)(`${title} ($name)`, tests);
}
