import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { BuildOptions } from "../engine/build.js";
import { onlyKeys, specMap, wrongFlag } from "./spec-fields.js";

type Secrets = NonNullable<BuildOptions["secrets"]>;
type Agents = NonNullable<BuildOptions["ssh"]>;

const secretHint = "E.g. --secret id=token,src=./token or --secret id=token,env=TOKEN.";
const sshHint =
  "E.g. --ssh default, --ssh default=$SSH_AUTH_SOCK, --ssh git=$HOME/.ssh/id_ed25519 or --ssh db=/run/db.sock,raw=true.";

/**
 * Reads every `--secret`: `id=NAME` with `src=FILE` or `env=VARIABLE`; without either, the variable of that name if it is
 * set, else the file. Values are read when a step asks for them. Throws `ERR_KILN_INVALID_ARGUMENT`.
 */
export function parseSecrets(
  texts: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Secrets {
  const flag = "--secret";
  const secrets = new Map<string, Secrets[string]>();
  for (const text of texts) {
    const fields = specMap(flag, text, secretHint);
    onlyKeys(flag, fields, ["id", "type", "src", "source", "env"]);
    const id = fields.get("id");
    if (id === undefined || id === "") throw wrongFlag(flag, "it has no id", secretHint);
    if (secrets.has(id)) throw wrongFlag(flag, `"${id}" is there twice`, secretHint);
    secrets.set(id, secretOf(flag, id, fields, env));
  }
  return Object.fromEntries(secrets);
}

function secretOf(
  flag: string,
  id: string,
  fields: ReadonlyMap<string, string>,
  env: Readonly<Record<string, string | undefined>>,
): Secrets[string] {
  const type = fields.get("type");
  if (type !== undefined && type !== "file" && type !== "env") {
    throw wrongFlag(flag, `there is no type "${type}"`, "Types: file, env.");
  }
  const path = fields.get("src") ?? fields.get("source");
  // As buildctl has it: the source of a secret of type env is a variable.
  const variable = fields.get("env") ?? (type === "env" ? (path ?? id) : undefined);
  const file = type === "env" ? undefined : path;
  if (variable === "" || file === "") throw wrongFlag(flag, `the source of "${id}" is empty`, secretHint);
  if (variable !== undefined && (file !== undefined || type === "file")) {
    throw wrongFlag(flag, `"${id}" comes from a file and a variable`, secretHint);
  }
  if (variable !== undefined) return { env: variable };
  if (file !== undefined) return { file };
  return type === undefined && env[id] !== undefined ? { env: id } : { file: id };
}

/**
 * Reads every `--ssh`: `ID` for the agent of `SSH_AUTH_SOCK`, `ID=SOCKET` for another agent, `ID=SOCKET,raw=true` for any
 * socket, `ID=KEY[,KEY]` for files of private keys: what is a file is told by looking. Throws
 * `ERR_KILN_INVALID_ARGUMENT`.
 */
export function parseSsh(texts: readonly string[], cwd: string): Agents {
  const flag = "--ssh";
  const agents = new Map<string, Agents[string]>();
  for (const text of texts) {
    const equals = text.indexOf("=");
    const id = equals < 0 ? text : text.slice(0, equals);
    if (id === "") throw wrongFlag(flag, "it has no id", sshHint);
    if (agents.has(id)) throw wrongFlag(flag, `"${id}" is there twice`, sshHint);
    agents.set(id, equals < 0 ? { agent: true } : agentOf(flag, id, text.slice(equals + 1).split(","), cwd));
  }
  return Object.fromEntries(agents);
}

function agentOf(flag: string, id: string, parts: readonly string[], cwd: string): Agents[string] {
  const raw = parts.filter((part) => part.startsWith("raw="));
  const paths = parts.filter((part) => !part.startsWith("raw="));
  const [path] = paths;
  if (raw.some((part) => !["raw=true", "raw=false"].includes(part))) {
    throw wrongFlag(flag, "raw is neither true nor false", sshHint);
  }
  if (path === undefined || paths.includes("")) {
    throw wrongFlag(flag, `"${id}" needs a socket, or files of keys`, sshHint);
  }
  if (paths.every((one) => statSync(resolve(cwd, one), { throwIfNoEntry: false })?.isFile() === true)) {
    if (raw.length > 0) throw wrongFlag(flag, `"${id}" has keys, which cannot be raw`, sshHint);
    return { keys: paths };
  }
  if (paths.length > 1) {
    throw wrongFlag(flag, `"${id}" needs one socket, or files of keys that are there`, sshHint);
  }
  return raw.includes("raw=true") ? { socket: path } : { agent: path };
}
