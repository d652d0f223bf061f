import { KilnError } from "../errors.js";
import { Auth } from "../gen/moby/filesync/v1/auth_pb.js";
import type { Attachable } from "./attachable.js";
import type { Credentials } from "./docker-auth.js";
import { unaryService } from "./unary-service.js";

/** Finds credentials for a registry host; `undefined` = anonymous. */
export type CredentialsProvider = (host: string, signal: AbortSignal) => Promise<Credentials | undefined>;

/** Options of {@link authService}. */
export interface AuthOptions {
  readonly credentials: CredentialsProvider;
  /** Told why credentials could not be had; the daemon then goes on without them. */
  readonly onProblem?: ((error: KilnError) => void) | undefined;
}

/**
 * Answers the daemon's questions for registry credentials.
 *
 * Only `Credentials` is offered: without the token methods the daemon fetches tokens itself
 * (`session/auth` falls back on UNIMPLEMENTED). A provider that fails makes the answer anonymous, so that
 * public images still resolve; the reason goes to `onProblem`.
 */
export function authService(options: AuthOptions): Attachable {
  return unaryService(Auth, {
    async credentials({ Host }, { signal }) {
      try {
        const found = await options.credentials(Host, signal);
        return found === undefined ? {} : { Username: found.username, Secret: found.secret };
      } catch (error) {
        if (!(error instanceof KilnError)) throw error;
        options.onProblem?.(error);
        return {};
      }
    },
  });
}
