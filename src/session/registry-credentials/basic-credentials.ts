import type { Credentials } from "../credentials.js";
import { requiredValues, type SecretValues, type WantedFor } from "./credentials-problem.js";

/**
 * Name and password of any registry (Docker Hub, ghcr.io, nvcr.io with the name `$oauthtoken`, …) from a secret with
 * `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`.
 *
 * Throws `ERR_KILN_SECRET_NOT_FOUND` for a missing or empty one.
 */
export function basicCredentials(wanted: WantedFor, values: SecretValues): Credentials {
  const found = requiredValues(wanted, values, ["REGISTRY_USERNAME", "REGISTRY_PASSWORD"]);
  return { username: found.REGISTRY_USERNAME, secret: found.REGISTRY_PASSWORD };
}
