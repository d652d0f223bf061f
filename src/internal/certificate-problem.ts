/** Whether a connection failed for the other side's certificate: OpenSSL's names of what is wrong with one, and Node's own. */
export function isCertificateProblem(error: unknown): error is Error & { readonly code: unknown } {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_)/.test(code);
}
