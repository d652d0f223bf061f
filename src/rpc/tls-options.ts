import { readFile } from "node:fs/promises";
import { KilnError } from "../errors.js";

/** Certificates for a TLS connection, as PEM text or as files; a file is read when the connection opens. */
export interface TlsOptions {
  /** Certificate authority that signed the daemon's certificate; default: the system's. */
  readonly ca?: string | undefined;
  readonly caFile?: string | undefined;
  /** Client certificate and key, for daemons that ask for one (mTLS). Both or neither. */
  readonly cert?: string | undefined;
  readonly certFile?: string | undefined;
  readonly key?: string | undefined;
  readonly keyFile?: string | undefined;
  /** Name expected in the daemon's certificate; default: the address's host. */
  readonly serverName?: string | undefined;
  /** Accept any certificate. Default false. */
  readonly skipVerify?: boolean | undefined;
}

/** {@link TlsOptions} with all files read. */
export interface TlsMaterial {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly serverName: string | undefined;
  readonly skipVerify: boolean;
}

/** Reads the files of {@link TlsOptions}. Throws `ERR_KILN_TLS` naming the file that cannot be read. */
export async function loadTls(options: TlsOptions): Promise<TlsMaterial> {
  const [ca, cert, key] = await Promise.all([
    options.ca ?? readPem("ca", options.caFile),
    options.cert ?? readPem("cert", options.certFile),
    options.key ?? readPem("key", options.keyFile),
  ]);
  if ((cert === undefined) !== (key === undefined)) {
    throw new KilnError(
      "ERR_KILN_TLS",
      `TLS: a client ${cert === undefined ? "key" : "certificate"} alone is no use`,
      {
        hint: "Give both the client certificate and its key.",
      },
    );
  }
  return { ca, cert, key, serverName: options.serverName, skipVerify: options.skipVerify === true };
}

async function readPem(what: string, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new KilnError("ERR_KILN_TLS", `TLS: cannot read the ${what} file ${file}`, {
      cause: error,
      hint: "Check the path and its permissions.",
    });
  }
}
