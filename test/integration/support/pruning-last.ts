import { readFileSync } from "node:fs";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Runs those test files last that have a daemon forget everything: others need not fetch and build it again. */
export class PruningLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const prunes = ({ moduleId }: TestSpecification): boolean =>
      readFileSync(moduleId, "utf8").includes("prune({ all: true })");
    return [...sorted.filter((file) => !prunes(file)), ...sorted.filter(prunes)];
  }
}
