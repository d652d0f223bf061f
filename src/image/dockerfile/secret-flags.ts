import { parseEnv } from "node:util";
import { KilnError } from "../../errors.js";
import type { SecretOrigin } from "../../model/secret.js";
import type { AppliedStep } from "../define-step.js";
import type { Stages } from "./stages.js";

/** What the secrets of a step are named by. */
export interface SecretNames {
  readonly stages: Stages;
  /** Content of a local file. */
  readonly file: (path: string) => Uint8Array | undefined;
}

/**
 * The mounts that give a command a step's secrets as variables, and the arguments by which `docker build` gets them. No
 * value is read but the names in a dotenv file.
 */
export function secretFlags(step: AppliedStep, { stages, file }: SecretNames): readonly string[] {
  return (step.options?.secrets ?? []).flatMap(({ origin }) =>
    keysOf(origin, step, file).map((key) => {
      const id = stages.secretId(key, origin.kind === "env" ? "env" : origin);
      stages.addFlag(`--secret id=${id},env=${id}`);
      return `--mount=type=secret,id=${id},env=${key},required=true`;
    }),
  );
}

function keysOf(origin: SecretOrigin, step: AppliedStep, file: SecretNames["file"]): readonly string[] {
  switch (origin.kind) {
    case "object":
    case "env":
      return origin.keys;
    case "dotenv": {
      const text = new TextDecoder().decode(file(origin.path));
      return Object.keys(parseEnv(text)).sort();
    }
    case "name":
      if (origin.requiredKeys.length > 0) return origin.requiredKeys;
      throw new KilnError(
        "ERR_KILN_UNSUPPORTED",
        `${step.title}: only a provider knows which variables the secret "${origin.name}" has`,
        {
          hint: 'Name them: Secret.fromName("…", { requiredKeys: ["TOKEN"] }).',
          location: step.location,
        },
      );
    default:
      return origin satisfies never;
  }
}
