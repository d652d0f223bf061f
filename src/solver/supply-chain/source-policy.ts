import type { MessageInitShape } from "@bufbuild/protobuf";
import type { PolicySchema } from "../../gen/moby/buildkit/v1/sourcepolicy/policy_pb.js";
import { checkOptions } from "../../internal/check-options.js";
import { checkChoice, checkName, checkRecord, checkText, wrongArgument } from "../../llb/check-argument.js";

/** Which sources a rule is about. */
export interface SourceSelector {
  /** E.g. `docker-image://docker.io/library/alpine:*`. */
  readonly identifier: string;
  /** How `identifier` is read. Default `wildcard`. */
  readonly match?: "wildcard" | "exact" | "regex" | undefined;
  /** What the source's attributes must be. */
  readonly constraints?: readonly SourceConstraint[] | undefined;
}

/** What one attribute of a source must be. */
export interface SourceConstraint {
  readonly key: string;
  readonly value: string;
  /** Default `equal`. */
  readonly condition?: "equal" | "not-equal" | "matches" | undefined;
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

// Values of the protocol's enums. The generated code has them too, but takes long to load: `Engine` checks policies.
const actions = { allow: 0, deny: 1, convert: 2 } as const;
const matches = { wildcard: 0, exact: 1, regex: 2 } as const;
const conditions = { equal: 0, "not-equal": 1, matches: 2 } as const;

/**
 * The daemon's message for a policy. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION` for what makes no
 * sense whatever the sources; whether a regular expression is one is the daemon's to say, in Go's syntax.
 */
export function sourcePolicyToPb(policy: SourcePolicy): MessageInitShape<typeof PolicySchema> {
  checkObject("sourcePolicy", policy, ["rules"]);
  if (!Array.isArray(policy.rules)) {
    throw wrongArgument("sourcePolicy", "rules must be an array", "Write { rules: [{ action, selector }] }.");
  }
  return { version: 1n, rules: policy.rules.map((rule: SourceRule, index) => ruleToPb(rule, index)) };
}

function ruleToPb(rule: SourceRule, index: number) {
  const call = `sourcePolicy.rules[${index}]`;
  checkObject(call, rule, ["action", "selector", "updates"]);
  const action = checkChoice(call, "action", rule.action, ["allow", "deny", "convert"]);
  checkOptions(call, rule, ["action", "selector", ...(action === "convert" ? ["updates"] : [])]);
  const selector = selectorToPb(`${call}.selector`, rule.selector);
  if (rule.action !== "convert") return { action: actions[action], selector };
  const updates = updatesToPb(`${call}.updates`, rule.updates);
  // For an exact rule the daemon takes the selector's identifier as the new one, whatever the update says.
  if (selector.matchType !== matches.exact || updates.identifier === "") {
    return { action: actions[action], selector, updates };
  }
  return {
    action: actions[action],
    selector: { ...selector, identifier: `^${escaped(selector.identifier)}$`, matchType: matches.regex },
    updates: { ...updates, identifier: updates.identifier.replaceAll("$", "$$$$") },
  };
}

function selectorToPb(call: string, selector: SourceSelector) {
  checkObject(call, selector, ["identifier", "match", "constraints"]);
  const { identifier, match = "wildcard", constraints = [] } = selector;
  if (!Array.isArray(constraints)) {
    throw wrongArgument(call, "constraints must be an array", "Write [{ key, value }].");
  }
  return {
    identifier: checkName(call, "identifier", identifier),
    matchType: matches[checkChoice(call, "match", match, ["wildcard", "exact", "regex"])],
    constraints: constraints.map((constraint: SourceConstraint, index) => {
      const place = `${call}.constraints[${index}]`;
      checkObject(place, constraint, ["key", "value", "condition"]);
      const { key, value, condition = "equal" } = constraint;
      return {
        key: checkName(place, "key", key),
        value: checkText(place, "value", value),
        condition: conditions[checkChoice(place, "condition", condition, ["equal", "not-equal", "matches"])],
      };
    }),
  };
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function updatesToPb(call: string, updates: Extract<SourceRule, { action: "convert" }>["updates"]) {
  checkObject(call, updates, ["identifier", "attrs"]);
  if (updates.identifier === undefined && updates.attrs === undefined) {
    throw wrongArgument(call, "updates changes nothing", "Give another identifier, or attrs.");
  }
  return {
    identifier: updates.identifier === undefined ? "" : checkName(call, "identifier", updates.identifier),
    attrs: Object.fromEntries(updates.attrs === undefined ? [] : checkRecord(call, "attrs", updates.attrs)),
  };
}

function checkObject(call: string, value: unknown, keys: readonly string[]): void {
  if (value === undefined) {
    throw wrongArgument(call, "is missing", `Pass an object with ${keys.join(", ")}.`);
  }
  checkOptions(call, value, keys);
}
