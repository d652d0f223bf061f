/** Where the values of a `Secret` come from. */
export type SecretOrigin =
  /** Given in the program. */
  | { readonly kind: "object"; readonly keys: readonly string[]; readonly value: (key: string) => string }
  /** Variables of the environment that the build runs in. */
  | { readonly kind: "env"; readonly keys: readonly string[] }
  /** A dotenv file; its keys are known when it is read. */
  | { readonly kind: "dotenv"; readonly path: string }
  /** A secret that a provider of the engine's knows by name. */
  | { readonly kind: "name"; readonly name: string; readonly requiredKeys: readonly string[] };

/** One variable of a secret, as a step gets it. */
export interface SecretVariable {
  /** Name of the environment variable. */
  readonly env: string;
  /** The session's id of the value. Part of the step's identity, so the same in every build of a chain. */
  readonly id: string;
  /**
   * What tells this value from others where it counts (`versioned`): 32 hexadecimal digits, part of the step's identity.
   * A keyed hash: it tells nothing of the value to those who have not the key.
   */
  readonly version?: string | undefined;
}
