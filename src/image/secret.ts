import { inspect } from "node:util";
import type { SecretOrigin } from "../model/secret.js";
import { argumentError, describe } from "./check-args.js";

const brand: unique symbol = Symbol.for("kiln-engine.secret") as never;

const keyPattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Values that a step's commands get as environment variables, and nobody else: they are in no image, cache key, log or
 * event, and are read when the daemon asks for them.
 *
 * A plain immutable value. Changing what a secret holds reruns nothing, unless it is {@link Secret.versioned}.
 */
export class Secret {
  readonly #origin: SecretOrigin;
  readonly #isVersioned: boolean;
  readonly [brand] = true;

  private constructor(origin: SecretOrigin, isVersioned = false) {
    this.#origin = origin;
    this.#isVersioned = isVersioned;
  }

  /** Whether a value is a secret, of this copy of the package or of another one. */
  static isSecret(value: unknown): value is Secret {
    return typeof value === "object" && value !== null && brand in value;
  }

  /**
   * Values that the program has. `undefined` and `null` are left out.
   *
   * Throws `ERR_KILN_INVALID_ARGUMENT` for names that are no variable's and for values that are no strings; a message
   * holds no value.
   */
  static fromObject(values: Readonly<Record<string, string | null | undefined>>): Secret {
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw argumentError("Secret.fromObject", `needs an object of names and values, got ${kindOf(values)}`, {
        hint: "Write Secret.fromObject({ TOKEN: token }).",
      });
    }
    const held = new Map<string, string>();
    for (const [key, value] of Object.entries(values)) {
      if (value === null || value === undefined) continue;
      checkKey("Secret.fromObject", key);
      if (typeof value !== "string") {
        throw argumentError(
          "Secret.fromObject",
          `the value of ${key} must be a string, got ${kindOf(value)}`,
        );
      }
      if (value.includes("\0")) {
        throw argumentError("Secret.fromObject", `the value of ${key} holds a NUL character`);
      }
      held.set(key, value);
    }
    return new Secret({ kind: "object", keys: [...held.keys()], value: (key) => held.get(key) ?? "" });
  }

  /**
   * Variables of the environment that the build runs in. One that is not set is an `ERR_KILN_SECRET_NOT_FOUND` of the
   * build, before anything is sent.
   */
  static fromEnv(...names: readonly string[] | readonly [names: readonly string[]]): Secret {
    const keys = names.flat();
    if (keys.length === 0) {
      throw argumentError("Secret.fromEnv", "names no variable", { hint: 'Write Secret.fromEnv("TOKEN").' });
    }
    for (const key of keys) checkKey("Secret.fromEnv", key);
    return new Secret({ kind: "env", keys: [...new Set(keys)] });
  }

  /** All variables of a dotenv file; relative to the build's working directory, `.env` if left out. */
  static fromDotenv(path = ".env"): Secret {
    if (typeof path !== "string" || path === "" || path.includes("\0")) {
      throw argumentError("Secret.fromDotenv", `needs the path of a file, got ${describe(path)}`);
    }
    return new Secret({ kind: "dotenv", path });
  }

  /**
   * A secret that a provider of the engine's (`secretProviders` of `Engine.connect`) knows by name.
   *
   * `requiredKeys` must be among what the provider gives: `ERR_KILN_SECRET_NOT_FOUND` of the build otherwise.
   */
  static fromName(
    name: string,
    options: { readonly requiredKeys?: readonly string[] | undefined } = {},
  ): Secret {
    if (typeof name !== "string" || !/^[A-Za-z0-9][\w.-]{0,63}$/.test(name)) {
      throw argumentError("Secret.fromName", `needs a name, got ${describe(name)}`, {
        hint: "Letters, digits, dots, dashes and underscores, 64 at most.",
      });
    }
    const { requiredKeys = [], ...more } = options;
    const [unknown] = Object.keys(more);
    if (unknown !== undefined) {
      throw argumentError("Secret.fromName", `unknown option "${unknown}"`, {
        code: "ERR_KILN_UNKNOWN_OPTION",
        hint: "It takes: requiredKeys.",
      });
    }
    if (!Array.isArray(requiredKeys)) {
      throw argumentError("Secret.fromName", "requiredKeys must be a list", { hint: 'E.g. ["TOKEN"].' });
    }
    for (const key of requiredKeys) checkKey("Secret.fromName", key);
    return new Secret({ kind: "name", name, requiredKeys: [...requiredKeys] });
  }

  /**
   * The same secret, with values that count: steps that have it run again once a value is another one.
   *
   * What is part of the steps' identity is a hash of the values with a random key, which is made once and kept in Kiln's
   * data directory: who has not that key learns nothing from it. Machines with different keys do not share the cached
   * results of such steps. The build fails with `ERR_KILN_SECRET_VERSION` where the key cannot be kept or read. For
   * secrets that open a registry it changes nothing.
   */
  versioned(): Secret {
    return new Secret(this.#origin, true);
  }

  /** Where the values come from. */
  get origin(): SecretOrigin {
    return this.#origin;
  }

  /** Whether another value makes a step another one: see {@link Secret.versioned}. */
  get isVersioned(): boolean {
    return this.#isVersioned;
  }

  /** What may be said of it: where its values come from, and their names. */
  toString(): string {
    return `${originText(this.#origin)}${this.#isVersioned ? ".versioned()" : ""}`;
  }

  /** {@link Secret.toString}, so that a chain can be printed as JSON. */
  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

function originText(origin: SecretOrigin): string {
  switch (origin.kind) {
    case "object":
      return `Secret.fromObject({ ${origin.keys.join(", ")} })`;
    case "env":
      return `Secret.fromEnv(${origin.keys.join(", ")})`;
    case "dotenv":
      return `Secret.fromDotenv(${origin.path})`;
    case "name":
      return `Secret.fromName(${origin.name})`;
    default:
      return origin satisfies never;
  }
}

function checkKey(call: string, key: unknown): void {
  if (typeof key === "string" && keyPattern.test(key)) return;
  throw argumentError(
    call,
    `${typeof key === "string" ? JSON.stringify(key) : kindOf(key)} is no variable's name`,
    {
      hint: "Letters, digits and underscores, not beginning with a digit.",
    },
  );
}

/** What a wrong value is, without the value: it may be a secret in the wrong place. */
function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `a value of type ${typeof value}`;
}
