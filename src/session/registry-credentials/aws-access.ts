import { readFile } from "node:fs/promises";
import {
  credentialsProblem,
  heldValue,
  lacksKeys,
  type SecretValues,
  type WantedFor,
} from "./credentials-problem.js";

/** Keys of an AWS account's. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of keys that are good for some hours. */
  readonly sessionToken?: string | undefined;
}

/** A role to take on. */
interface AwsRole {
  readonly arn: string;
  /** Shows in AWS's own records. */
  readonly sessionName: string;
}

/** How a secret gives access to AWS. */
export type AwsAccess =
  | { readonly kind: "keys"; readonly keys: AwsKeys }
  /** A role that the holder of a token of another identity provider may take on. */
  | { readonly kind: "web-identity"; readonly role: AwsRole; readonly token: AwsToken }
  /** A role that the holder of keys may take on. */
  | { readonly kind: "assume-role"; readonly role: AwsRole; readonly keys: AwsKeys };

/** Where the token is: some are renewed in a file. */
export type AwsToken = { readonly text: string } | { readonly file: string };

const tokenLimit = 64 * 1024;

/**
 * Reads from a secret how it gives access to AWS.
 *
 * With `AWS_ROLE_ARN` a role: by a token (`AWS_WEB_IDENTITY_TOKEN`, or a file that `AWS_WEB_IDENTITY_TOKEN_FILE` of the
 * secret names), else by the secret's keys, else by the file that this machine's own `AWS_WEB_IDENTITY_TOKEN_FILE` names,
 * as clusters and CI set it. Otherwise by `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if there is one,
 * `AWS_SESSION_TOKEN`.
 *
 * Throws `ERR_KILN_SECRET_NOT_FOUND` for a secret that has neither.
 */
export function awsAccess(
  wanted: WantedFor,
  values: SecretValues,
  env: Readonly<Record<string, string | undefined>>,
): AwsAccess {
  const arn = heldValue(values, "AWS_ROLE_ARN");
  const keys = keysOf(values);
  if (arn === undefined) {
    if (keys !== undefined) return { kind: "keys", keys };
    const lacking = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].filter(
      (key) => heldValue(values, key) === undefined,
    );
    throw lacksKeys(wanted, values, `${lacking.join(" and ")}, or AWS_ROLE_ARN`);
  }
  const role = { arn, sessionName: heldValue(values, "AWS_ROLE_SESSION_NAME") ?? "kiln" };
  const text = heldValue(values, "AWS_WEB_IDENTITY_TOKEN");
  if (text !== undefined) return { kind: "web-identity", role, token: { text: text.trim() } };
  const named = heldValue(values, "AWS_WEB_IDENTITY_TOKEN_FILE");
  if (named === undefined && keys !== undefined) return { kind: "assume-role", role, keys };
  const file = named ?? env["AWS_WEB_IDENTITY_TOKEN_FILE"];
  if (file !== undefined && file !== "") return { kind: "web-identity", role, token: { file } };
  throw lacksKeys(
    wanted,
    values,
    "what proves that it may take on AWS_ROLE_ARN: AWS_WEB_IDENTITY_TOKEN, AWS_WEB_IDENTITY_TOKEN_FILE, or keys",
  );
}

/** The text of a token. Rejects with `ERR_KILN_UNAUTHORIZED` for a file that cannot be read or holds none. */
export async function readAwsToken(wanted: WantedFor, token: AwsToken): Promise<string> {
  if ("text" in token) return token.text;
  let text: string;
  try {
    text = (await readFile(token.file, "utf8")).trim();
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "does not exist" : "cannot be read";
    throw credentialsProblem(
      wanted,
      `the token file ${token.file} ${why}`,
      "Check AWS_WEB_IDENTITY_TOKEN_FILE, and the file's permissions.",
    );
  }
  if (text !== "" && text.length <= tokenLimit) return text;
  throw credentialsProblem(
    wanted,
    `the token file ${token.file} holds no token`,
    "Check AWS_WEB_IDENTITY_TOKEN_FILE.",
  );
}

function keysOf(values: SecretValues): AwsKeys | undefined {
  const accessKeyId = heldValue(values, "AWS_ACCESS_KEY_ID");
  const secretAccessKey = heldValue(values, "AWS_SECRET_ACCESS_KEY");
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  return { accessKeyId, secretAccessKey, sessionToken: heldValue(values, "AWS_SESSION_TOKEN") };
}
