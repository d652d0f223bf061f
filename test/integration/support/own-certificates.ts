import { existsSync } from "node:fs";

const bundle = "/etc/ssl/certs/ca-certificates.crt";

/** The certificates that this machine trusts, for builds that fetch packages through what it fetches them through. */
export const ownCertificates: string | undefined = existsSync(bundle) ? bundle : undefined;
