/** Packages that are fetched and unpacked together. */
export interface PackageSet {
  /** The folder's name under the prefix. */
  readonly name: string;
  /** Releases to try, in this order; the machine's own when absent. */
  readonly suites?: readonly string[] | undefined;
  readonly packages: readonly string[];
}

/**
 * The package sets that engines, the registry and the base images are made of.
 *
 * Debian has no BuildKit daemon of its own; its Docker embeds the whole of it. What links against the
 * machine's C library closely (runc) or talks to its kernel's tables (iptables) comes from the machine's own
 * release; the engines are Go programs that run on any.
 */
export const PACKAGE_SETS = {
  modern: { name: "modern", suites: ["forky", "sid"], packages: ["docker.io", "containerd"] },
  older: { name: "older", suites: ["trixie"], packages: ["docker.io", "containerd"] },
  machine: {
    name: "machine",
    packages: [
      ...[
        "runc",
        "libseccomp2",
        "tini",
        "busybox-static",
        "iptables",
        "libxtables12",
        "libip4tc2",
        "libip6tc2",
      ],
      ...["libnftnl11", "libmnl0", "libnfnetlink0", "libnetfilter-conntrack3"],
    ],
  },
  registry: { name: "registry", packages: ["docker-registry"] },
  mmdebstrap: { name: "mmdebstrap", packages: ["mmdebstrap"] },
  peerTools: { name: "peer-tools", suites: ["forky", "sid"], packages: ["docker-cli", "docker-buildx"] },
} as const satisfies Readonly<Record<string, PackageSet>>;
