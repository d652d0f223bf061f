import { KilnError } from "../errors.js";
import { checkOptions } from "../internal/check-options.js";

/**
 * What a step gets as its ssh agent.
 *
 * `agent`: a socket of an ssh agent; `true` = that of `SSH_AUTH_SOCK`. Steps can list its keys and sign with them,
 * nothing else. `keys`: files of private keys without a passphrase (OpenSSH's, PKCS #8 or OpenSSL's formats), which this
 * process serves as such an agent; they are read when a step first asks. `socket`: any Unix socket, passed on byte by
 * byte.
 */
export type SshSource =
  | { readonly agent: true | string }
  | { readonly keys: readonly string[] }
  | { readonly socket: string };

const sourceHint = 'Pass { agent: true }, { agent: "SOCKET" }, { keys: ["FILE"] } or { socket: "SOCKET" }.';

/**
 * Checks one source of a record of them.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` or `ERR_KILN_UNKNOWN_OPTION`. Nothing is read.
 */
export function checkSshSource(id: string, source: unknown): void {
  const call = `ssh["${id}"]`;
  checkOptions(call, source, ["agent", "keys", "socket"]);
  const [entry, ...more] = Object.entries(source ?? {}).filter(([, value]) => value !== undefined);
  const isText = (value: unknown): boolean =>
    typeof value === "string" && value !== "" && !value.includes("\0");
  const [key, value] = entry ?? [];
  const isRight =
    key === "keys"
      ? Array.isArray(value) && value.length > 0 && value.every(isText)
      : isText(value) || (key === "agent" && value === true);
  if (more.length === 0 && isRight) return;
  throw new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    `${call}: ${more.length > 0 ? "agent, keys and socket go one at a time" : `${key ?? "its source"} is missing or wrong`}`,
    { hint: sourceHint },
  );
}
