/** How the contents of a local tree differ from those of another build's. */
export interface TreeDiff {
  /** Paths that are new. */
  readonly added: readonly string[];
  /** Paths that are gone. */
  readonly removed: readonly string[];
  readonly changed: readonly {
    readonly path: string;
    /** `content`, or what else it is that differs, e.g. `mode`. */
    readonly what: string;
  }[];
  /** Files that have another path and the same content; they are in neither {@link added} nor {@link removed}. */
  readonly renamed?: readonly { readonly from: string; readonly to: string }[] | undefined;
  /** How many differences there are, where the lists are cut short; default: as many as the lists have. */
  readonly differences?: number | undefined;
  /** How many entries the tree has now. */
  readonly total: number;
}
