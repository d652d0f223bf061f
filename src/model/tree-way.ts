/**
 * How a copied local tree comes to the daemon.
 *
 * `local`: sent file by file, and copied by the daemon into a layer. `layers`: as layers that were made here, on top of
 * those of the chain before it; together they are one image that the session serves.
 */
export type TreeWay =
  | { readonly kind: "local" }
  | {
      readonly kind: "layers";
      /** Content store id under which the session serves the image. */
      readonly store: string;
      /** Digest of the image's manifest. */
      readonly digest: string;
      /** How many layers the tree became, at least one. */
      readonly layers: number;
    };

/** A copy of a local tree's contents into the image, as the plan has it. */
export interface PlanCopy {
  /** Key in `Facts.ways`. */
  readonly id: string;
  /** Id in `Needs.trees`. */
  readonly tree: string;
  /** The step of the outermost chain that copies. */
  readonly step: number;
  /** Absolute path in the image. */
  readonly to: string;
  /** Digest of the op that makes the files before the copy; empty for a copy onto nothing. */
  readonly before: string;
  readonly way: TreeWay["kind"];
}
