export type { Annotation } from "../solver/annotations.js";
export { cacheFromFields } from "../solver/caches/cache-from-fields.js";
export type { AttestationOptions } from "../solver/supply-chain/attestation-options.js";
export { parseSourcePolicy } from "../solver/supply-chain/source-policy-json.js";
