import { KilnError } from "../errors.js";

/**
 * What the built-in steps mean in one epoch: which bases, tools and pins they use.
 *
 * Frozen once released: a better default is a new epoch, never an edit of an old one, so that a chain keeps its
 * meaning (and its cache) until its user moves on.
 */
export interface BuilderVersion {
  readonly id: string;
  /** Debian release of `debianSlim` and `node`. */
  readonly debian: string;
  /** Full Python version by series. */
  readonly pythons: Readonly<Record<string, string>>;
  readonly defaultPython: string;
  /** What `debianSlim` installs beside uv: name, version and sha256 of the wheel. They need Python 3.10. */
  readonly packageTools: readonly {
    readonly name: string;
    readonly version: string;
    readonly sha256: string;
  }[];
  /** Builds of python-build-standalone for bases without Python, by series; `3.14t` is the free-threaded 3.14. */
  readonly standalonePythons: Readonly<Record<string, StandalonePython>>;
  /** Full Node version by major. */
  readonly nodes: Readonly<Record<string, string>>;
  readonly defaultNode: string;
  /** The uv that installs Python packages: its version and the sha256 of its wheels for Linux. */
  readonly uv: { readonly version: string; readonly wheels: readonly string[] };
  /** The pnpm that `pnpmInstall` runs: its version and npm's integrity of it. */
  readonly pnpm: { readonly version: string; readonly integrity: string };
  readonly poetry: string;
  /** Reference of the micromamba base. */
  readonly micromamba: string;
}

/** A Python that runs from any directory, as python-build-standalone releases it. */
export interface StandalonePython {
  readonly version: string;
  /** The release that it is part of. */
  readonly release: string;
  /** By target triple: digest of the archive, and how its name ends, default `install_only_stripped.tar.gz`. */
  readonly builds: Readonly<Record<string, { readonly flavor?: string; readonly sha256: string }>>;
}

const versions: readonly BuilderVersion[] = [
  {
    id: "2026.11",
    debian: "bookworm",
    pythons: { "3.10": "3.10.17", "3.11": "3.11.12", "3.12": "3.12.10", "3.13": "3.13.3", "3.14": "3.14.2" },
    defaultPython: "3.13",
    packageTools: [
      {
        name: "pip",
        version: "26.3",
        sha256: "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13",
      },
      {
        name: "wheel",
        version: "0.48.0",
        sha256: "3217dcc807155e45db462d7ef2431f5ddda0d7273b700d05a67b271ceb1287ab",
      },
      // Of which wheel is made.
      {
        name: "packaging",
        version: "26.4",
        sha256: "81383611a09c1bc0b08b76e0fd5829d7c6824c65b27a6aee339da133f4233ea2",
      },
    ],
    // Checksums as that project publishes them, for the newest release that has the version.
    standalonePythons: {
      "3.10": {
        version: "3.10.17",
        release: "20250529",
        builds: {
          "aarch64-unknown-linux-gnu": {
            sha256: "aaf1fd370ab3ae31807c8d7d5aff0b8d2abb370c12d17a561178ceb842314f2a",
          },
          "x86_64-unknown-linux-gnu": {
            sha256: "e3abc6e300ccdfe5e8faf220d0682dc8eae4d438b96b7d312b32d50a4e536d21",
          },
          "x86_64-unknown-linux-musl": {
            sha256: "32bf6162838c5b2fde22eeab84d6537037cf443323a4ec5921d8619c75de6378",
          },
        },
      },
      "3.11": {
        version: "3.11.12",
        release: "20250529",
        builds: {
          "aarch64-unknown-linux-gnu": {
            sha256: "ae5bed638f9116faf1b488b9058e478835538f3a748b50fa2919e832fb3dda28",
          },
          "x86_64-unknown-linux-gnu": {
            sha256: "a8c2320f1df72d02d58f3f7ab0899bff7946e5efcc723ae2ff3113ad8bb645c0",
          },
          "x86_64-unknown-linux-musl": {
            sha256: "009de744b61ebca3e75a6298fc1a395090d5f4891ce22e4b8f5dc9aa04c4afbb",
          },
        },
      },
      "3.12": {
        version: "3.12.10",
        release: "20250529",
        builds: {
          "aarch64-unknown-linux-gnu": {
            sha256: "235d0666528a8e948896f68c08964dc8dd14a54c68e5cbd4924594d2e20f81b9",
          },
          "x86_64-unknown-linux-gnu": {
            sha256: "f50d08e0304b15d752b22932047135c1dc02f81977b284e51288be9d90627bca",
          },
          "x86_64-unknown-linux-musl": {
            sha256: "ebcb774652aeaa10c8b9a5825be257e7b21b604aac1bac2d3f6f1403de116ce8",
          },
        },
      },
      "3.13": {
        version: "3.13.3",
        release: "20250529",
        builds: {
          "aarch64-unknown-linux-gnu": {
            sha256: "ac752f8f26f96fc58944e2c3b6528b5ed8964e745ff86e2aebf0ee07f0c9d11d",
          },
          "x86_64-unknown-linux-gnu": {
            sha256: "532a6db30bcf8f8609a0c4e0a7c985315572364c19868bc9650a64df534954e7",
          },
          "x86_64-unknown-linux-musl": {
            sha256: "880f87d939c05b72a03bf8748d931b44a4e7379b7c2afa39af7b5002f71df51c",
          },
        },
      },
      "3.14": {
        version: "3.14.2",
        release: "20260127",
        builds: {
          "aarch64-unknown-linux-gnu": {
            sha256: "1d243bfab134c9fd3e099780a811079d8c6158283bddde65de2bc5f6eda74f7c",
          },
          "x86_64-unknown-linux-gnu": {
            sha256: "c2926d6707f4339e3bf30e90437b387712b47e60e9e55bff1dcb36bf7688b01d",
          },
          "aarch64-unknown-linux-musl": {
            sha256: "d1c14930b95e10b10b263fabadefc4ac5965553144c1667775fb097b2675b1b3",
          },
          "x86_64-unknown-linux-musl": {
            sha256: "24015271e47203b9b79249670a847487f997ae8e0a3deacc533ce5fc55d66ea6",
          },
        },
      },
      "3.14t": {
        version: "3.14.2",
        release: "20260127",
        builds: {
          "aarch64-unknown-linux-gnu": {
            flavor: "freethreaded+pgo+lto-full.tar.zst",
            sha256: "cdd68545295c524c17bcfe73fe14aa4ac8b99667a97eff3fe46ea279ae6ab871",
          },
          "x86_64-unknown-linux-gnu": {
            flavor: "freethreaded+pgo+lto-full.tar.zst",
            sha256: "2a7387129a2c8906b836247e149577536afde8adc38b232ecbbf4ce53e8cf5cc",
          },
          "aarch64-unknown-linux-musl": {
            flavor: "freethreaded+lto-full.tar.zst",
            sha256: "a72c8dedb99cc35880f2c456a4839087f31a9550f204e34b238e9f16348c9ca5",
          },
          "x86_64-unknown-linux-musl": {
            flavor: "freethreaded+lto-full.tar.zst",
            sha256: "4c0559277bf896470876718dbabd28fbfa369b867c9e978c55c509eb0b99a6c6",
          },
        },
      },
    },
    nodes: { "20": "20.19.5", "22": "22.21.1", "24": "24.11.1" },
    defaultNode: "22",
    uv: {
      version: "0.13.9",
      wheels: [
        // manylinux x86_64, aarch64 (also musl), aarch64 for glibc 2.28, musl x86_64, armv7l, ppc64le, s390x, riscv64
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
        "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
        "16963d19594e18d746a70c7fce82237bde4f2cac4cfcf0ca2b84796fe9d0c6e9",
        "7ec1e1dd9b6cb335c301afdf877989df384227313981850755a59561f75e4ab8",
        "c5dbdb7c8737cd183a9dce95b39cfd1f3d54ec2a27a1bb58f160293f9ba2c805",
        "a6e845f387e4ed55bb59342957a9179e24a631fcc7668bda3426ae1cef8ed4b9",
        "6b0c7b9f47a5d011939d61e324d3fe18a8bc155d8dd53add738709a92f290a7c",
        "6d5114bba238adddacb32fb11904f2b3ff4e988f8e9ff0d8d3b5e9822cf836b8",
      ],
    },
    pnpm: {
      version: "10.24.0",
      integrity:
        "sha512-Af+K5xtEGZA7ZcYPstydNM+LtuBtA73hEu8496NNaQTEJLpmvqXNzxKJAjC/OflYBHMUDtnJRv7zKLblI4o0Wg==",
    },
    poetry: "2.2.1",
    micromamba: "mambaorg/micromamba:2.1.1-debian12-slim",
  },
];

/** Whether any epoch has a Python of this series, e.g. `3.12`. */
export function isKnownPython(series: string): boolean {
  return versions.some(({ pythons }) => Object.hasOwn(pythons, series));
}

/** Whether any epoch has a standalone Python of this series, e.g. `3.12` or `3.14t`. */
export function isKnownStandalonePython(series: string): boolean {
  return versions.some(({ standalonePythons }) => Object.hasOwn(standalonePythons, series));
}

/** Whether any epoch has a Node of this major version, e.g. `22`. */
export function isKnownNode(major: string): boolean {
  return versions.some(({ nodes }) => Object.hasOwn(nodes, major));
}

/** What Modal's builder 2025.06 uses, for `toModalLayers`. */
export const modalPins = {
  debian: "bookworm",
  pythons: { "3.10": "3.10.17", "3.11": "3.11.12", "3.12": "3.12.10", "3.13": "3.13.3", "3.14": "3.14.2" },
  micromamba: "mambaorg/micromamba:2.1.1-debian12-slim",
} as const;

/** The newest epoch: what is used when none is named. */
export const latestBuilderVersion = "2026.11";

/** An epoch by its id; default the newest. Throws `ERR_KILN_INVALID_ARGUMENT` for one that is not known. */
export function builderVersion(id: string = latestBuilderVersion): BuilderVersion {
  const found = versions.find((version) => version.id === id);
  if (found !== undefined) return found;
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `no builder version "${id}"`, {
    hint: `There are: ${versions.map((version) => version.id).join(", ")}.`,
  });
}
