import type { CallSite } from "../../errors.js";

/** How much a finding weighs: `error` = wrong or dangerous, `warning` = it costs something, `info` = good to know. */
export type LintSeverity = "error" | "warning" | "info";

/** The rules of lint; `docs/images.md` says what each is for. */
export type LintRuleId =
  | "unpinned-package"
  | "unpinned-base"
  | "volatile-before-stable"
  | "secret-in-recipe"
  | "apt-without-cleanup"
  | "layer-limit"
  | "cd-has-no-effect"
  | "pip-leaves-cache"
  | "curl-pipe-shell"
  | "path-replaced";

/** What lint says about one step of a chain. No value of a secret is in it. */
export interface LintFinding<Image> {
  readonly rule: LintRuleId;
  readonly severity: LintSeverity;
  /** What is the matter, in one sentence. */
  readonly message: string;
  /** 0-based position of the step in the chain; of a step of an image that `copyFrom` names, that of the `copyFrom`. */
  readonly step: number;
  /** The step's id and title. */
  readonly id: string;
  readonly title: string;
  /** The user's call. */
  readonly location: CallSite | undefined;
  /** What to do about it. */
  readonly hint: string;
  /** Makes an image without the finding that is otherwise the same; only where that can be done safely. */
  readonly fix?: (() => Image) | undefined;
}
