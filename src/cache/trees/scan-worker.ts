import { TreeFilter } from "../../fsutil/tree-filter.js";
import { runAtOnce } from "../../internal/run-at-once.js";
import { serveWorker } from "../../internal/worker-pool.js";
import { type HashBatch, type HashedBatch, hashBatch } from "./hash-batch.js";
import { FileHasher } from "./hash-file.js";
import { StoredTree, type TreeShape } from "./stored-tree.js";
import { type SumPlace, sumTree, type TreeSums } from "./tree-digest.js";
import { TreeVerifier, type VerifyPlace, type VerifyShare, verifyShare } from "./verify-tree.js";

/** Directories of a stored tree to be compared with the disk, until none is left. */
export interface VerifyTask extends VerifyShare {
  readonly kind: "verify";
  readonly memory: SharedArrayBuffer;
  readonly shape: TreeShape;
  readonly place: VerifyPlace;
  readonly exclude: readonly string[];
}

/** A tree to be summed up where it lies. */
export interface SumTask extends SumPlace {
  readonly kind: "sum";
  readonly memory: SharedArrayBuffer;
  readonly shape: TreeShape;
}

/** What a thread does for a scan. */
export type ScanTask = HashBatch | VerifyTask | SumTask;

/** What it answers: nothing for a {@link VerifyTask}, whose answers are in shared memory. */
export type ScanAnswer = HashedBatch | TreeSums | undefined;

let hasher: FileHasher | undefined;

/** Reads files, compares directories and sums up trees in a thread. */
export const worker = serveWorker<ScanTask, ScanAnswer>(
  (task) => {
    if (task.kind === "hash") {
      hasher ??= new FileHasher();
      return hashBatch(task, hasher);
    }
    const tree = new StoredTree(task.memory, task.shape);
    if (task.kind === "sum") return runAtOnce(sumTree(tree, task));
    Atomics.add(task.next, 1, 1);
    const filter = task.exclude.length > 0 ? new TreeFilter([], task.exclude) : undefined;
    const verifier = new TreeVerifier(tree, task.place, filter);
    runAtOnce(verifyShare(verifier, task));
    return undefined;
  },
  (answer) =>
    answer === undefined || "digest" in answer
      ? []
      : [answer.kinds, answer.stats, answer.mtimesNs, answer.bytesRead, answer.sha256].flatMap(
          ({ buffer }) => (buffer instanceof ArrayBuffer ? [buffer] : []),
        ),
);
