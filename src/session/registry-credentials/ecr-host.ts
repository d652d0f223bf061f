/** What the host name of a registry in Amazon's ECR says. */
export interface EcrHost {
  readonly region: string;
  /** Endpoints with cryptography validated by FIPS 140. */
  readonly fips: boolean;
  /** Endpoints with IPv6 as well. */
  readonly dualStack: boolean;
}

const name =
  /^\d{12}\.dkr([.-])ecr(-fips)?\.([a-z0-9]+(?:-[a-z0-9]+)+)\.(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn)$/;

/**
 * Reads the host name of a private registry in ECR: `ACCOUNT.dkr.ecr[-fips].REGION.amazonaws.com[.cn]`, or
 * `ACCOUNT.dkr-ecr[-fips].REGION.on.aws` with IPv6. `undefined` for any other.
 */
export function parseEcrHost(host: string): EcrHost | undefined {
  const match = name.exec(host);
  if (match === null) return undefined;
  const [, separator, fips, region = "", domain = ""] = match;
  const dualStack = domain.startsWith("on.");
  if (dualStack !== (separator === "-")) return undefined;
  return { region, fips: fips !== undefined, dualStack };
}
