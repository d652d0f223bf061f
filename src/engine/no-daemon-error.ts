import { KilnError } from "../errors.js";
import type { Candidate } from "../rpc/discover.js";

/** No BuildKit was found, or the one that was named is not there. Lists every place that was looked at. */
export class NoDaemonError extends KilnError {
  /** The places, in the order in which they were looked at. */
  readonly candidates: readonly Candidate[];

  constructor(candidates: readonly Candidate[]) {
    const named = candidates.find(({ explicit }) => explicit);
    const invalid = named !== undefined && named.parsed === undefined;
    super(
      invalid ? "ERR_KILN_INVALID_ADDRESS" : "ERR_KILN_NO_DAEMON",
      named !== undefined
        ? `no BuildKit at ${named.address} (from ${named.source}): ${named.problem}`
        : `no BuildKit found; looked at:\n${candidates.map(line).join("\n")}`,
      {
        hint:
          "Start one with `kiln engine up` (Debian, as root), or `docker run -d --privileged --name buildkitd " +
          "-p 127.0.0.1:1234:1234 moby/buildkit --addr tcp://0.0.0.0:1234` and KILN_HOST=tcp://127.0.0.1:1234, " +
          "or install Docker 25 or newer with the containerd image store.",
      },
    );
    this.name = "NoDaemonError";
    this.candidates = candidates;
  }
}

function line({ address, source, problem }: Candidate): string {
  return `  ${address} (${source}): ${problem ?? "not usable"}`;
}
