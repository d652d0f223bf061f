/** What a registry asks of whom it does not know: one challenge of a `WWW-Authenticate` header. */
export interface AuthChallenge {
  /** In lower case, such as `basic` or `bearer`. */
  readonly scheme: string;
  /** By name in lower case: `realm`, `service`, `scope`, … */
  readonly parameters: ReadonlyMap<string, string>;
}

const schemePattern = /[\s,]*([A-Za-z][\w!#$%&'*+.^`|~-]*)(?=[\s,]|$)/y;
const parameterPattern = /[\s,]*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y;

/** Reads a `WWW-Authenticate` header, which may hold several challenges (RFC 9110, 11.6.1). What cannot be read ends it. */
export function parseChallenges(header: string): readonly AuthChallenge[] {
  const found: { readonly scheme: string; readonly parameters: Map<string, string> }[] = [];
  for (let at = 0; at < header.length; ) {
    const current = found.at(-1);
    parameterPattern.lastIndex = at;
    const parameter = current === undefined ? null : parameterPattern.exec(header);
    if (current !== undefined && parameter !== null) {
      const [whole, name = "", quoted, plain = ""] = parameter;
      current.parameters.set(name.toLowerCase(), quoted?.replaceAll(/\\(.)/g, "$1") ?? plain);
      at += whole.length;
      continue;
    }
    schemePattern.lastIndex = at;
    const scheme = schemePattern.exec(header);
    if (scheme === null) break;
    found.push({ scheme: (scheme[1] ?? "").toLowerCase(), parameters: new Map() });
    at += scheme[0].length;
  }
  return found;
}

/** The challenge that is answered: a token's before that of a password, as the token says less. */
export function chooseChallenge(header: string): AuthChallenge | undefined {
  const all = parseChallenges(header);
  return all.find(({ scheme }) => scheme === "bearer") ?? all.find(({ scheme }) => scheme === "basic");
}
