import { KilnError } from "../../errors.js";
import { type SourcePolicy, sourcePolicyToPb } from "./source-policy.js";

const actions = ["allow", "deny", "convert"] as const;
const matches = ["wildcard", "exact", "regex"] as const;
const conditions: Readonly<Record<string, "equal" | "not-equal" | "matches">> = {
  EQUAL: "equal",
  NOTEQUAL: "not-equal",
  MATCHES: "matches",
};

type Fields = Readonly<Record<string, unknown>>;

/**
 * A source policy from the JSON that BuildKit's tools read:
 * `{"rules": [{"action": "DENY", "selector": {"identifier": "docker-image://…", "matchType": "EXACT"}}]}`.
 *
 * Enumerations are words in any case or BuildKit's numbers, keys may be written with underscores. Throws
 * `ERR_KILN_INVALID_ARGUMENT` with the place for what is none, unknown keys included: a rule that is not understood must
 * not be left out.
 */
export function parseSourcePolicy(text: string): SourcePolicy {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw refused(`it is no JSON: ${(error as Error).message}`, error);
  }
  const policy = fieldsOf("the policy", json, ["version", "rules"]);
  if (policy["version"] !== undefined && Number(policy["version"]) !== 1) {
    throw refused(`version ${JSON.stringify(policy["version"])} is not 1`);
  }
  const rules = listOf("rules", policy["rules"]).map((rule, index) => ruleOf(`rules[${index}]`, rule));
  const parsed = { rules } as SourcePolicy;
  // Says what is wrong in a value.
  sourcePolicyToPb(parsed);
  return parsed;
}

function ruleOf(at: string, json: unknown): unknown {
  const rule = fieldsOf(at, json, ["action", "selector", "updates"]);
  const action = wordOf(`${at}.action`, rule["action"] ?? 0, actions);
  const selector = fieldsOf(`${at}.selector`, rule["selector"], ["identifier", "matchtype", "constraints"]);
  const constraints = listOf(`${at}.selector.constraints`, selector["constraints"] ?? []);
  const updates =
    rule["updates"] === undefined || rule["updates"] === null
      ? undefined
      : fieldsOf(`${at}.updates`, rule["updates"], ["identifier", "attrs"]);
  return {
    action,
    selector: {
      identifier: selector["identifier"],
      match: wordOf(`${at}.selector.matchType`, selector["matchtype"] ?? 0, matches),
      constraints: constraints.map((one, index) => {
        const where = `${at}.selector.constraints[${index}]`;
        const { key, value, condition } = fieldsOf(where, one, ["key", "value", "condition"]);
        return { key, value, condition: conditionOf(`${where}.condition`, condition ?? 0) };
      }),
    },
    ...(updates === undefined
      ? {}
      : {
          updates: { identifier: updates["identifier"] || undefined, attrs: updates["attrs"] ?? undefined },
        }),
  };
}

function conditionOf(at: string, value: unknown): string {
  const names = Object.keys(conditions);
  const name = typeof value === "number" ? names[value] : String(value).toUpperCase();
  const condition = name === undefined ? undefined : conditions[name];
  if (condition !== undefined) return condition;
  throw refused(`${at} is none of ${names.join(", ")}`);
}

function wordOf<T extends string>(at: string, value: unknown, words: readonly T[]): T {
  const word =
    typeof value === "number" ? words[value] : words.find((one) => one === String(value).toLowerCase());
  if (word !== undefined) return word;
  throw refused(`${at} is none of ${words.map((one) => one.toUpperCase()).join(", ")}`);
}

/** An object's fields, by lower-case key without underscores. */
function fieldsOf(at: string, json: unknown, allowed: readonly string[]): Fields {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw refused(`${at} is no object`);
  return Object.fromEntries(
    Object.entries(json).map(([key, value]) => {
      const plain = key.replaceAll("_", "").toLowerCase();
      if (!allowed.includes(plain)) {
        throw refused(`${at} has the unknown key ${JSON.stringify(key)}: it takes ${allowed.join(", ")}`);
      }
      return [plain, value];
    }),
  );
}

function listOf(at: string, json: unknown): readonly unknown[] {
  if (Array.isArray(json)) return json;
  throw refused(`${at} is no array`);
}

function refused(why: string, cause?: unknown): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", `the source policy cannot be read: ${why}`, {
    cause,
    hint: 'Write it like {"rules": [{"action": "DENY", "selector": {"identifier": "docker-image://docker.io/*"}}]}.',
  });
}
