/** Why a step ran, or will run. `text` says it in words, without the step's name: `packages changed: numpy → numpy==2.1`. */
export type Cause =
  /** Nothing is recorded that this chain could be compared with. */
  | { readonly kind: "first-build"; readonly text: string }
  /** The chain had no such step before. */
  | { readonly kind: "new-step"; readonly text: string }
  /** The step was there, at another place of the chain. */
  | { readonly kind: "moved-step"; readonly text: string }
  /** A step before it, by its index, is another one now, so that this one starts from other files. */
  | { readonly kind: "earlier-step"; readonly text: string; readonly step: number }
  /** Arguments of the call, or variables of its commands. */
  | { readonly kind: "arguments"; readonly text: string; readonly names: readonly string[] }
  /** Local files: paths are the first of those that differ. */
  | {
      readonly kind: "files";
      readonly text: string;
      readonly changed: number;
      readonly total: number;
      readonly paths: readonly string[];
    }
  /** The same tag stands for another image. */
  | { readonly kind: "base-moved"; readonly text: string; readonly from: string; readonly to: string }
  /** Another base is named. */
  | { readonly kind: "base-changed"; readonly text: string }
  /** A secret that counts by its version has another one, or another secret is named. */
  | { readonly kind: "secret"; readonly text: string }
  /** A setting of the whole build: `platform`, `builderVersion`, `sourceDateEpoch`, `package`. */
  | { readonly kind: "setting"; readonly text: string; readonly name: string }
  | { readonly kind: "forced"; readonly text: string }
  /** It is the first build on this daemon. */
  | { readonly kind: "other-daemon"; readonly text: string }
  /** The step did not end well the last time. */
  | { readonly kind: "failed-before"; readonly text: string }
  /** Everything else is excluded: nothing changed, and the daemon had it no more. */
  | { readonly kind: "daemon-lost"; readonly text: string };
