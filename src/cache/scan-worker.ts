import { TreeFilter } from "../fsutil/tree-filter.js";
import { serveWorker } from "../internal/worker-pool.js";
import { type HashBatch, type HashedBatch, hashBatch } from "./hash-batch.js";
import { FileHasher } from "./hash-file.js";
import { StoredTree, type TreeShape } from "./stored-tree.js";
import { TreeVerifier, type VerifyPlace, type VerifyShare, verifyShare } from "./verify-tree.js";

/** Directories of a stored tree to be compared with the disk, until none is left. */
export interface VerifyTask extends VerifyShare {
  readonly kind: "verify";
  readonly memory: SharedArrayBuffer;
  readonly shape: TreeShape;
  readonly place: VerifyPlace;
  readonly exclude: readonly string[];
}

/** What a thread does for a scan. */
export type ScanTask = HashBatch | VerifyTask;

/** What it answers: nothing for a {@link VerifyTask}, whose answers are in shared memory. */
export type ScanAnswer = HashedBatch | undefined;

let hasher: FileHasher | undefined;

/** Reads files and compares directories in a thread. */
export const worker = serveWorker<ScanTask, ScanAnswer>(
  (task) => {
    if (task.kind === "hash") {
      hasher ??= new FileHasher();
      return hashBatch(task, hasher);
    }
    Atomics.add(task.next, 1, 1);
    const filter = task.exclude.length > 0 ? new TreeFilter([], task.exclude) : undefined;
    const verifier = new TreeVerifier(new StoredTree(task.memory, task.shape), task.place, filter);
    for (const _ of verifyShare(verifier, task));
    return undefined;
  },
  (answer) =>
    answer === undefined
      ? []
      : [answer.kinds, answer.stats, answer.mtimesNs, answer.bytesRead, answer.sha256].flatMap(
          ({ buffer }) => (buffer instanceof ArrayBuffer ? [buffer] : []),
        ),
);
