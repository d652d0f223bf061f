import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  AttrMatch,
  MatchType,
  PolicyAction,
  type PolicySchema,
} from "../../gen/moby/buildkit/v1/sourcepolicy/policy_pb.js";
import { checkOptions } from "../../internal/check-options.js";
import { checkChoice, checkName, checkRecord, checkText, wrongArgument } from "../../llb/check-argument.js";

/** Which sources a rule is about. */
export interface SourceSelector {
  /** E.g. `docker-image://docker.io/library/alpine:*`. */
  readonly identifier: string;
  /** How `identifier` is read. Default `wildcard`. */
  readonly match?: "wildcard" | "exact" | "regex" | undefined;
  /** What the source's attributes must be. */
  readonly constraints?:
    | readonly {
        readonly key: string;
        readonly value: string;
        /** Default `equal`. */
        readonly condition?: "equal" | "not-equal" | "matches" | undefined;
      }[]
    | undefined;
}

/** A rule about sources. Of the rules that match a source, the last decides. */
export type SourceRule =
  | { readonly action: "allow" | "deny"; readonly selector: SourceSelector }
  | {
      /** Replaces the source by another one, which the rules then see. */
      readonly action: "convert";
      readonly selector: SourceSelector;
      readonly updates: {
        /**
         * `$1`, `$2` … stand for what wildcards and groups matched; not with `exact`. Left out, the daemon takes the
         * selector's text, wildcards and all: then use a selector without them.
         */
        readonly identifier?: string | undefined;
        /** E.g. `http.checksum`. */
        readonly attrs?: Readonly<Record<string, string>> | undefined;
      };
    };

/** Rules about what a build may be made of. Needs BuildKit 0.11. */
export interface SourcePolicy {
  readonly rules: readonly SourceRule[];
}

const actions = {
  allow: PolicyAction.ALLOW,
  deny: PolicyAction.DENY,
  convert: PolicyAction.CONVERT,
} as const;
const matches = { wildcard: MatchType.WILDCARD, exact: MatchType.EXACT, regex: MatchType.REGEX } as const;
const conditions = {
  equal: AttrMatch.EQUAL,
  "not-equal": AttrMatch.NOTEQUAL,
  matches: AttrMatch.MATCHES,
} as const;

/** The daemon's message for a policy. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`. */
export function sourcePolicyToPb(policy: SourcePolicy): MessageInitShape<typeof PolicySchema> {
  checkOptions("sourcePolicy", policy, ["rules"]);
  if (!Array.isArray(policy.rules)) {
    throw wrongArgument("sourcePolicy", "rules must be an array", "Write { rules: [{ action, selector }] }.");
  }
  return { version: 1n, rules: policy.rules.map((rule: SourceRule, index) => ruleToPb(rule, index)) };
}

function ruleToPb(rule: SourceRule, index: number) {
  const call = `sourcePolicy.rules[${index}]`;
  const action = checkChoice(call, "action", rule.action, ["allow", "deny", "convert"]);
  checkOptions(call, rule, ["action", "selector", ...(action === "convert" ? ["updates"] : [])]);
  checkOptions(`${call}.selector`, rule.selector, ["identifier", "match", "constraints"]);
  const { match = "wildcard", constraints = [] } = rule.selector;
  checkName(call, "selector.identifier", rule.selector.identifier);
  checkChoice(call, "selector.match", match, ["wildcard", "exact", "regex"]);
  const updates = rule.action === "convert" ? updatesToPb(call, rule.updates) : undefined;
  // For an exact rule the daemon takes the selector's identifier as the new one, whatever the update says.
  const asRegex = match === "exact" && updates !== undefined && updates.identifier !== "";
  const identifier = asRegex ? `^${escaped(rule.selector.identifier)}$` : rule.selector.identifier;
  return {
    action: actions[action],
    selector: {
      identifier,
      matchType: matches[asRegex ? "regex" : match],
      constraints: constraints.map(({ key, value, condition = "equal" }) => ({
        key: checkName(call, "a constraint's key", key),
        value: checkText(call, "a constraint's value", value),
        condition:
          conditions[
            checkChoice(call, "a constraint's condition", condition, ["equal", "not-equal", "matches"])
          ],
      })),
    },
    ...(updates === undefined
      ? {}
      : {
          updates: asRegex ? { ...updates, identifier: updates.identifier.replaceAll("$", "$$$$") } : updates,
        }),
  };
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function updatesToPb(call: string, updates: Extract<SourceRule, { action: "convert" }>["updates"]) {
  checkOptions(`${call}.updates`, updates, ["identifier", "attrs"]);
  if (updates.identifier === undefined && updates.attrs === undefined) {
    throw wrongArgument(call, "updates changes nothing", "Give another identifier, or attrs.");
  }
  return {
    identifier:
      updates.identifier === undefined ? "" : checkName(call, "updates.identifier", updates.identifier),
    attrs: Object.fromEntries(checkRecord(call, "updates.attrs", updates.attrs ?? {})),
  };
}
