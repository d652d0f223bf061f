import type { CommandAddress } from "./address.js";

/** A program that connects its input and output to a daemon. */
export interface DialCommand {
  readonly program: string;
  readonly args: readonly string[];
}

/**
 * The program that connects to an address: `buildctl dial-stdio` beside the daemon, run by what reaches it. For a
 * machine's Docker, `docker system dial-stdio`. As BuildKit's `client/connhelper` and Docker's CLI have them.
 */
export function dialCommand(address: CommandAddress): DialCommand {
  const dial = ["buildctl", "dial-stdio"];
  switch (address.scheme) {
    case "docker-container": {
      const context = address.context === undefined ? [] : [`--context=${address.context}`];
      return { program: "docker", args: [...context, "exec", "-i", address.container, ...dial] };
    }
    case "podman-container":
      return { program: "podman", args: ["exec", "-i", address.container, ...dial] };
    case "nerdctl-container": {
      const namespace = address.namespace === undefined ? [] : ["--namespace", address.namespace];
      return { program: "nerdctl", args: ["exec", ...namespace, "-i", address.container, ...dial] };
    }
    case "kube-pod": {
      const { context, namespace, container, pod } = address;
      return {
        program: "kubectl",
        args: [
          ...(context === undefined ? [] : [`--context=${context}`]),
          ...(namespace === undefined ? [] : [`--namespace=${namespace}`]),
          "exec",
          ...(container === undefined ? [] : [`--container=${container}`]),
          ...["-i", pod, "--", ...dial],
        ],
      };
    }
    case "ssh":
    case "docker+ssh": {
      const { user, port, host, socket } = address;
      const at = socket === undefined ? [] : ["--addr", `unix://${socket}`];
      const there =
        address.scheme === "ssh" ? ["buildctl", ...at, "dial-stdio"] : ["docker", "system", "dial-stdio"];
      return {
        program: "ssh",
        args: [
          ...(user === undefined ? [] : ["-l", user]),
          ...(port === undefined ? [] : ["-p", String(port)]),
          // Nobody is there to type a password or to look at a host's key.
          ...["-o", "BatchMode=yes", "--", host, ...there],
        ],
      };
    }
    default:
      return address satisfies never;
  }
}
