import * as v from "valibot";
import { KilnError } from "../../errors.js";
import type { Credentials } from "../credentials.js";
import { requiredValues, type SecretValues, type WantedFor } from "./credentials-problem.js";

const hosts = /^(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*\.pkg\.dev|(?:[a-z0-9-]+\.)?gcr\.io)$/;

const keyFile = v.object({
  type: v.literal("service_account"),
  client_email: v.pipe(v.string(), v.nonEmpty()),
  private_key: v.pipe(v.string(), v.nonEmpty()),
});

/**
 * Credentials for Google's registries (`*.pkg.dev`, `gcr.io`, `*.gcr.io`) from a secret with `SERVICE_ACCOUNT_JSON`, the
 * text of a service account's key: the name `_json_key` with that text as the password.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for another host and for a text that is no such key (a path, another kind of
 * credentials), `ERR_KILN_SECRET_NOT_FOUND` if there is none. No message holds anything of the text.
 */
export function gcpCredentials(wanted: WantedFor, values: SecretValues): Credentials {
  const { host, location } = wanted;
  if (!hosts.test(host)) {
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${host} is no registry of Google's`, {
      hint: "Those are *.pkg.dev, gcr.io and *.gcr.io. Others take REGISTRY_USERNAME and REGISTRY_PASSWORD.",
      location,
    });
  }
  const { SERVICE_ACCOUNT_JSON: given } = requiredValues(wanted, values, ["SERVICE_ACCOUNT_JSON"]);
  const text = given.trim();
  const why = whyNoKey(text);
  if (why === undefined) return { username: "_json_key", secret: text };
  throw new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    `SERVICE_ACCOUNT_JSON in the secret with the credentials for ${host} ${why}`,
    { hint: "It must be the text of a service account's JSON key, not the path of its file.", location },
  );
}

function whyNoKey(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own words may quote the text.
    return text.startsWith("{") ? "is not valid JSON" : "is no JSON";
  }
  const { issues = [] } = v.safeParse(keyFile, value);
  if (issues.length === 0) return undefined;
  const places = issues.map((issue) => v.getDotPath(issue) ?? "").filter((place) => place !== "");
  return places.includes("type") || places.length === 0
    ? 'is not the key of a service account ("type": "service_account")'
    : `has no ${places.join(" and no ")}`;
}
