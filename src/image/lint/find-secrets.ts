import { Secret } from "../secret.js";
import type { LintSeverity } from "./lint-finding.js";
import type { LintedStep } from "./rule.js";

/** Something in a step that looks like a secret. */
export interface FoundSecret {
  /** E.g. `a GitHub token`. */
  readonly what: string;
  /** E.g. `the variable GITHUB_TOKEN`. */
  readonly where: string;
  /** Whether it stays in the image's config, or in the definition and the history alone. */
  readonly stays: "image" | "definition";
  /** A name for the variable of a secret. */
  readonly variable: string;
  readonly severity: LintSeverity;
  /** The value, to be masked wherever the step is shown. */
  readonly value: string;
}

/** Shapes of values that are secrets wherever they stand, as their issuers document them. */
const tokenShapes: readonly (readonly [what: string, variable: string, shape: RegExp])[] = [
  ["a GitHub token", "GITHUB_TOKEN", /\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{22,})/g],
  ["a GitLab token", "GITLAB_TOKEN", /\bglpat-[\w-]{20,}/g],
  ["a Slack token", "SLACK_TOKEN", /\bxox[abeoprs]-[\w-]{10,}/g],
  ["an AWS access key", "AWS_ACCESS_KEY_ID", /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g],
  ["a Hugging Face token", "HF_TOKEN", /\bhf_[A-Za-z0-9]{30,}/g],
  ["an npm token", "NPM_TOKEN", /\bnpm_[A-Za-z0-9]{36,}/g],
  ["a PyPI token", "PYPI_TOKEN", /\bpypi-[\w-]{32,}/g],
  ["a Google API key", "GOOGLE_API_KEY", /\bAIza[\w-]{35}/g],
  ["a Docker token", "DOCKER_TOKEN", /\bdckr_(?:pat|oat)_[\w-]{20,}/g],
  ["a Stripe key", "STRIPE_KEY", /\b[rs]k_(?:live|test)_[A-Za-z0-9]{20,}/g],
  ["an API key", "API_KEY", /\bsk-(?:[a-z]+-)*(?=[\w-]*\d)[A-Za-z0-9_-]{20,}/g],
  ["a JSON web token", "TOKEN", /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}/g],
  [
    "a private key",
    "PRIVATE_KEY",
    /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[\s\S]*?(?:-----END (?:[A-Z]+ )*PRIVATE KEY-----|$)/g,
  ],
];

const urlPassword = /\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@"'`]*:([^\s/@"'`]+)@/gi;
const urlParameter =
  /[?&](?:access_token|auth_token|token|api_?key|password|secret|sig|x-amz-signature)=([^&\s"'`#]+)/gi;
const assignment = /(?:^|[\s;&|(])([A-Za-z_]\w*)=("[^"]*"|'[^']*'|[^\s;&|)"']+)/g;
const flag =
  /(?:^|\s)--?((?:[a-z]+-)*(?:password|passwd|passphrase|token|secret|api-?key))(?:=|\s+)("[^"]*"|'[^']*'|[^\s;&|)"']+)/gi;
const npmAuth = /:?(_authToken|_password|_auth)[=\s]\s*["']?([^\s"']+)/g;
const authorization = /\bAuthorization:\s*(?:Bearer|Basic|Token)\s+([^\s"']+)/gi;
const curlUser = /\bcurl\b[^\n;&|]*?\s(?:-u|--user)[\s=]+["']?[^\s:"']+:([^\s"']+)/g;

const strongName =
  /(?:^|_)(?:TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|API_?KEY|(?:ACCESS|SECRET|PRIVATE|AUTH|ENCRYPTION|SIGNING|MASTER)_?KEY|SECRET_KEY_BASE)$/i;
const weakName = /(?:^|_)(?:KEY|AUTH|CREDENTIALS?|PAT|PWD|PASS)$/i;

/** What in a step looks like a secret: each value once, the most certain reason first. */
export function findSecrets({ step, traits, commands, instructions }: LintedStep): readonly FoundSecret[] {
  const found: FoundSecret[] = [];
  const shapesIn = (text: string, where: string, stays: FoundSecret["stays"]): void => {
    for (const [what, variable, shape] of tokenShapes) {
      for (const [value] of text.matchAll(shape))
        found.push({ what, where, stays, variable, severity: "error", value });
    }
    for (const [, value = ""] of text.matchAll(urlPassword)) {
      if (isLiteral(value))
        found.push({
          what: "a password in a URL",
          where,
          stays,
          variable: "PASSWORD",
          severity: "error",
          value,
        });
    }
    for (const [, value = ""] of text.matchAll(urlParameter)) {
      if (isLiteral(value) && value.length >= 12)
        found.push({
          what: "a token in a URL",
          where,
          stays,
          variable: "TOKEN",
          severity: "error",
          value,
        });
    }
  };
  const named = (name: string, quoted: string, where: string, stays: FoundSecret["stays"]): void => {
    const value = unquoted(quoted);
    if (
      !isLiteral(value) ||
      /^(?:\.{0,2}|~)\/[\w./-]*$/.test(value) ||
      /^[a-z][a-z0-9+.-]*:\/\//i.test(value)
    )
      return;
    const strong = strongName.test(name);
    if (!strong && !(weakName.test(name) && looksRandom(value))) return;
    const variable = /^[A-Za-z_]\w*$/.test(name) ? name : "TOKEN";
    const severity = strong ? "error" : "warning";
    found.push({
      what: "a literal value that its name calls a secret",
      where,
      stays,
      variable,
      severity,
      value,
    });
  };
  const variables = (
    vars: readonly (readonly [string, unknown])[],
    what: string,
    stays: FoundSecret["stays"],
  ): void => {
    for (const [name, value] of vars) {
      if (typeof value !== "string") continue;
      shapesIn(value, `the ${what} ${name}`, stays);
      named(name, value, `the ${what} ${name}`, stays);
    }
  };
  variables(Object.entries(traits.env ?? {}), "variable", "image");
  variables(Object.entries(traits.buildEnv ?? {}), "variable", "definition");
  variables(step.options?.env ?? [], "variable", "definition");
  variables(Object.entries(buildArgs(step.args)), "build argument", "definition");
  for (const { name, text } of instructions) {
    if (name !== "ENV" && name !== "ARG") continue;
    const where = name === "ENV" ? "an ENV line" : "an ARG line";
    const stays = name === "ENV" ? "image" : "definition";
    shapesIn(text, where, stays);
    const [, old = "", value = ""] = /^([A-Za-z_]\w*)\s+([^=].*)$/.exec(text) ?? [];
    if (name === "ENV" && old !== "") named(old, value, where, stays);
    else for (const [, key = "", item = ""] of text.matchAll(assignment)) named(key, item, where, stays);
  }
  for (const { text } of commands) {
    const where = "a command";
    shapesIn(text, where, "definition");
    for (const pattern of [assignment, flag]) {
      for (const [, name = "", value = ""] of text.matchAll(pattern)) {
        // `--secret id=…` names a secret where others have one.
        if (/^["']?(?:id|type)=/.test(value)) continue;
        named(name.replaceAll("-", "_"), value, where, "definition");
      }
    }
    for (const [, name = "", value = ""] of text.matchAll(npmAuth)) {
      named(name === "_password" ? "NPM_PASSWORD" : "NPM_TOKEN", value, where, "definition");
    }
    for (const pattern of [authorization, curlUser]) {
      for (const [, value = ""] of text.matchAll(pattern)) {
        const what = "credentials for a server";
        if (isLiteral(value))
          found.push({ what, where, stays: "definition", variable: "TOKEN", severity: "error", value });
      }
    }
  }
  for (const url of traits.urls ?? []) shapesIn(url, "a URL", "definition");
  // The rest of what the step was told: labels, indexes, arguments of steps that others wrote.
  for (const text of texts(step.args, 0)) shapesIn(text, "an argument", "definition");
  const seen = new Set<string>();
  return found
    .sort((a, b) => Number(a.severity !== "error") - Number(b.severity !== "error"))
    .filter(({ value }) => {
      if ([...seen].some((other) => other.includes(value))) return false;
      seen.add(value);
      return true;
    });
}

function buildArgs(args: unknown): Readonly<Record<string, unknown>> {
  if (typeof args !== "object" || args === null || !("buildArgs" in args)) return {};
  const given = args.buildArgs;
  if (typeof given !== "object" || given === null) return {};
  return Array.isArray(given) ? Object.fromEntries(given.filter(Array.isArray)) : { ...given };
}

/** All texts in plain data. */
function texts(value: unknown, depth: number): readonly string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null || depth > 8) return [];
  // Another chain is looked at by itself; what a secret holds is in none of its fields.
  if (value instanceof Uint8Array || Secret.isSecret(value) || "steps" in value) return [];
  return Object.values(value).flatMap((item) => texts(item, depth + 1));
}

function unquoted(text: string): string {
  return /^(["']).*\1$/s.test(text) ? text.slice(1, -1) : text;
}

/** Whether a value is written out: no variable, no placeholder. */
function isLiteral(text: string): boolean {
  const value = unquoted(text);
  if (value === "" || /[$`]|\{\{|^<.*>$|^%.*%$/.test(value)) return false;
  return !/^(?:[x*.]+|change[-_]?me|placeholder|example|dummy|none|null|undefined|true|false|yes|no|\d{1,3}|todo|secret|password|token|your[-_ ].*)$/i.test(
    value,
  );
}

/** Whether a text looks like no word: long, letters and digits, many of them different (3.5 bits a character). */
function looksRandom(value: string): boolean {
  if (value.length < 16 || !/\d/.test(value) || !/[A-Za-z]/.test(value) || /\s/.test(value)) return false;
  const counts = new Map<string, number>();
  for (const character of value) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / value.length) * Math.log2(count / value.length);
  return bits >= 3.5;
}

/** A text (a small file's) without the parts that look like secrets wherever they stand. */
export function maskText(text: string): string {
  const values = new Set<string>();
  for (const [, , shape] of tokenShapes) for (const [value] of text.matchAll(shape)) values.add(value);
  for (const shape of [urlPassword, urlParameter, flag, npmAuth, authorization, curlUser]) {
    for (const match of text.matchAll(shape)) values.add(match.at(-1) ?? "");
  }
  values.delete("");
  const longestFirst = [...values].sort((a, b) => b.length - a.length);
  return longestFirst.reduce((masked, value) => masked.replaceAll(value, "***"), text);
}
