const secretKeys = /(ghtoken|token|access_key_id|secret_access_key|session_token)=[^ ,]+/gi;
const githubTokens = /gh[us]_[A-Za-z0-9]{36}|github_pat_\w{82}/g;
const jsonText = /"[^"\\]*(?:\\.[^"\\]*)*"/g;

/**
 * A trace (JSON values one after the other) with the values of access keys in its texts made unreadable: a span's
 * attributes hold the command line of the client, with the keys of caches in it. Everything else stays byte by byte.
 */
export function withoutSecrets(trace: string): string {
  return trace.replaceAll(jsonText, (literal) => {
    // Most texts are names and numbers: neither a value nor a token is in them.
    if (!/=|\\|gh[us]_|github_pat_/.test(literal)) return literal;
    let text: string;
    try {
      text = JSON.parse(literal) as string;
    } catch {
      // No text of JSON, so no JSON: cleaned as it is.
      text = literal.slice(1, -1);
    }
    const clean = text.replaceAll(secretKeys, "$1=xxxxx").replaceAll(githubTokens, "xxxxx");
    return clean === text ? literal : JSON.stringify(clean);
  });
}
