import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { PruningLast } from "./test/integration/support/pruning-last.js";
import { temporaryFilesInMemory } from "./test/temporary-files.js";

// Examples import the package by its name: here that is the sources, so that nothing need be built.
const resolve = {
  alias: {
    "kiln-engine/testing": fileURLToPath(new URL("src/testing/index.ts", import.meta.url)),
    "kiln-engine": fileURLToPath(new URL("src/index.ts", import.meta.url)),
  },
};

const ownCache = fileURLToPath(new URL("test/integration/support/own-cache.ts", import.meta.url));

export default defineConfig({
  test: {
    sequence: { sequencer: PruningLast },
    experimental: { fsModuleCache: true },
    projects: [
      {
        resolve,
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/conformance/**/*.test.ts"],
          env: temporaryFilesInMemory(),
          testTimeout: 20_000,
          // Files of a worker share what they load, which is most of the work of most of them.
          isolate: false,
          // Else two cores mean one worker.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          // Projects run one after another where several are asked for.
          sequence: { groupOrder: 1 },
        },
      },
      {
        resolve,
        test: {
          name: "architecture",
          include: ["test/architecture/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          isolate: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        resolve,
        test: {
          name: "processes",
          include: ["test/processes/**/*.test.ts"],
          env: temporaryFilesInMemory(),
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // What these start takes the processor: one file after another.
          fileParallelism: false,
          isolate: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        resolve,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          setupFiles: [ownCache],
          testTimeout: 180_000,
          hookTimeout: 300_000,
          // Two cores and two daemons: files run one after another so that a slow file is a slow file,
          // not its neighbour's load. They share what they load, which takes seconds each time.
          fileParallelism: false,
          isolate: false,
          sequence: { groupOrder: 4 },
        },
      },
      {
        resolve,
        test: {
          name: "soak",
          // Of other folders those that have cases, or numbers, too large for `npm test`.
          include: [
            "test/soak/**/*.test.ts",
            "test/integration/{python-steps,to-dockerfile}.test.ts",
            "test/unit/cache/records/cache-index.test.ts",
            "test/unit/fsutil/{round-trip,tree-filter}.test.ts",
            "test/unit/session/secret-masks.test.ts",
            "test/unit/llb/{definition-json,depth,encode-op,rewrite-execs,rewrite-sources}.test.ts",
          ],
          env: { KILN_TEST_LONG: "1" },
          setupFiles: [ownCache],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 5 },
        },
      },
    ],
  },
});
