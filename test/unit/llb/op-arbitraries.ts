import fc from "fast-check";

/** Any text, also none. */
export const text = fc.oneof(fc.constant(""), fc.string({ unit: "grapheme", maxLength: 200 }));
const texts = fc.array(text, { maxLength: 4 });
const flag = fc.boolean();
const int64 = fc.oneof(
  fc.constantFrom(0n, -1n, 1n, 2n ** 53n, -(2n ** 63n), 2n ** 63n - 1n),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);
const uint64 = fc.oneof(fc.constantFrom(0n, 2n ** 64n - 1n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
const int32 = fc.oneof(fc.constantFrom(0, -1, 0x7fffffff, -0x80000000), fc.integer());
const uint32 = fc.oneof(fc.constantFrom(0, 0xffffffff), fc.nat());
const key = fc.string({ maxLength: 12 }).filter((name) => name !== "__proto__");
/** A map by text. */
export const map = <T>(value: fc.Arbitrary<T>) =>
  fc.dictionary(key, value, { maxKeys: 5, noNullPrototype: true });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const few = <T>(value: fc.Arbitrary<T>) => fc.array(value, { maxLength: 3 });
const one = <C extends string, T>(name: C, value: fc.Arbitrary<T>) =>
  value.map((content) => ({ case: name, value: content }));

const grant = fc.record({ ID: text, uid: uint32, gid: uint32, mode: uint32, optional: flag });
const mount = fc.record({
  input: int64,
  selector: text,
  dest: text,
  output: int64,
  readonly: flag,
  mountType: fc.integer({ min: 0, max: 9 }),
  TmpfsOpt: maybe(fc.record({ size: int64 })),
  cacheOpt: maybe(fc.record({ ID: text, sharing: fc.integer({ min: 0, max: 3 }) })),
  secretOpt: maybe(grant),
  SSHOpt: maybe(grant),
  resultID: text,
  contentCache: fc.integer({ min: 0, max: 3 }),
});
const proxy = fc.record({ httpProxy: text, httpsProxy: text, ftpProxy: text, noProxy: text, allProxy: text });
/** Fields of a command. */
export const exec = fc.record({
  meta: maybe(
    fc.record({
      args: texts,
      env: texts,
      cwd: text,
      user: text,
      proxyEnv: maybe(proxy),
      extraHosts: few(fc.record({ Host: text, IP: text })),
      hostname: text,
      ulimit: few(fc.record({ Name: text, Soft: int64, Hard: int64 })),
      cgroupParent: text,
      removeMountStubsRecursive: flag,
      validExitCodes: few(int32),
    }),
  ),
  mounts: few(mount),
  network: fc.integer({ min: 0, max: 5 }),
  security: fc.integer({ min: 0, max: 5 }),
  secretenv: few(fc.record({ ID: text, name: text, optional: flag })),
  cdiDevices: few(fc.record({ name: text, optional: flag })),
});

const user = fc.record({
  user: fc.oneof(
    fc.constant({ case: undefined }),
    one("byID", uint32),
    one("byName", fc.record({ name: text, input: int64 })),
  ),
});
const owner = maybe(fc.record({ user: maybe(user), group: maybe(user) }));
const bytes = fc.uint8Array({ maxLength: 300 });
const action = fc.oneof(
  fc.constant({ case: undefined }),
  one(
    "copy",
    fc.record({
      src: text,
      dest: text,
      owner,
      mode: int32,
      followSymlink: flag,
      dirCopyContents: flag,
      attemptUnpackDockerCompatibility: flag,
      createDestPath: flag,
      allowWildcard: flag,
      allowEmptyWildcard: flag,
      timestamp: int64,
      includePatterns: texts,
      excludePatterns: texts,
      alwaysReplaceExistingDestPaths: flag,
      modeStr: text,
      requiredPaths: texts,
    }),
  ),
  one("mkfile", fc.record({ path: text, mode: int32, data: bytes, owner, timestamp: int64 })),
  one("mkdir", fc.record({ path: text, mode: int32, makeParents: flag, owner, timestamp: int64 })),
  one("rm", fc.record({ path: text, allowNotFound: flag, allowWildcard: flag })),
  one("symlink", fc.record({ oldpath: text, newpath: text, owner, timestamp: int64 })),
);
const file = fc.record({
  actions: few(fc.record({ input: int64, secondaryInput: int64, output: int64, action })),
});

/** Fields of an op's metadata. */
export const metadata = fc.record({
  ignoreCache: flag,
  description: map(text),
  exportCache: maybe(fc.record({ Value: flag })),
  caps: map(flag),
  progressGroup: maybe(fc.record({ id: text, name: text, weak: flag })),
  linuxResources: maybe(
    fc.record({
      memory: int64,
      memorySwap: int64,
      cpuShares: uint64,
      cpuPeriod: uint64,
      cpuQuota: int64,
      cpusetCpus: text,
      cpusetMems: text,
    }),
  ),
});
const position = fc.record({ line: int32, character: int32 });
/** Fields of source maps. */
export const source = fc.record({
  locations: map(
    fc.record({
      locations: few(
        fc.record({
          sourceIndex: int32,
          ranges: few(fc.record({ start: maybe(position), end: maybe(position) })),
        }),
      ),
    }),
  ),
  infos: few(
    fc.record({
      filename: text,
      data: bytes,
      definition: maybe(fc.record({ def: few(bytes), metadata: map(metadata) })),
      language: text,
    }),
  ),
});

const kind = fc.oneof(
  fc.constant({ case: undefined }),
  one("exec", exec),
  one("source", fc.record({ identifier: text, attrs: map(text) })),
  one("file", file),
  one(
    "build",
    fc.record({
      builder: int64,
      inputs: map(fc.record({ input: int64 })),
      def: maybe(fc.record({ def: few(bytes), metadata: map(metadata), Source: maybe(source) })),
      attrs: map(text),
    }),
  ),
  one("merge", fc.record({ inputs: few(fc.record({ input: int64 })) })),
  one(
    "diff",
    fc.record({ lower: maybe(fc.record({ input: int64 })), upper: maybe(fc.record({ input: int64 })) }),
  ),
  one("passthrough", fc.record({ id: text, outputs: few(int64) })),
);
const platform = fc.record({
  Architecture: text,
  OS: text,
  Variant: text,
  OSVersion: text,
  OSFeatures: texts,
});
/** Fields of any op. */
export const op = fc.record({
  inputs: few(fc.record({ digest: text, index: int64 })),
  op: kind,
  platform: maybe(platform),
  constraints: maybe(fc.record({ filter: texts })),
});
