import { KilnError } from "../../errors.js";
import type { Credentials } from "../credentials.js";
import { basicCredentials } from "./basic-credentials.js";
import type { SecretValues, WantedFor } from "./credentials-problem.js";
import type { EcrCredentialsOptions } from "./ecr-credentials.js";

/** How a registry is logged in to: with a name and a password, or with those that AWS or Google give for an account. */
export type RegistryAuthKind = "basic" | "aws" | "gcp";

/** Options of {@link credentialsFor}. */
export interface CredentialsForOptions extends EcrCredentialsOptions, Pick<WantedFor, "location"> {}

/**
 * Credentials for a registry's host from the values of a secret; see `basicCredentials`, `ecrCredentials` and
 * `gcpCredentials` for the keys of each kind. Rejects as they do, at the place of `location`.
 */
export async function credentialsFor(
  kind: RegistryAuthKind,
  host: string,
  values: SecretValues,
  options: CredentialsForOptions,
): Promise<Credentials> {
  const { location, ...more } = options;
  const wanted = { host, location };
  options.signal?.throwIfAborted();
  switch (kind) {
    case "basic":
      return basicCredentials(wanted, values);
    case "aws":
      return (await import("./ecr-credentials.js")).ecrCredentials(wanted, values, more);
    case "gcp":
      return (await import("./gcp-credentials.js")).gcpCredentials(wanted, values);
    default:
      throw new KilnError(
        "ERR_KILN_INVALID_ARGUMENT",
        `"${String(kind satisfies never)}" is no kind of login`,
        {
          hint: "There are basic, aws and gcp.",
          location,
        },
      );
  }
}
