/**
 * The messages of `pb/ops.proto` that graphs are made of: field number, name and type. `[]` = repeated, `{}` = a map from
 * texts, `name/case` = one of several of a kind.
 *
 * A copy of what the generated code says, which a test compares with it: to load that code takes longer than to compile
 * a chain.
 */
const table: Readonly<Record<string, string>> = {
  Op: `1 inputs Input[], 2 op/exec ExecOp, 3 op/source SourceOp, 4 op/file FileOp, 5 op/build BuildOp,
    6 op/merge MergeOp, 7 op/diff DiffOp, 8 op/passthrough PassthroughOp, 10 platform Platform,
    11 constraints WorkerConstraints`,
  Platform: `1 Architecture string, 2 OS string, 3 Variant string, 4 OSVersion string, 5 OSFeatures string[]`,
  Input: `1 digest string, 2 index int64`,
  ExecOp: `1 meta Meta, 2 mounts Mount[], 3 network int32, 4 security int32, 5 secretenv SecretEnv[],
    6 cdiDevices CDIDevice[]`,
  Meta: `1 args string[], 2 env string[], 3 cwd string, 4 user string, 5 proxyEnv ProxyEnv, 6 extraHosts HostIP[],
    7 hostname string, 9 ulimit Ulimit[], 10 cgroupParent string, 11 removeMountStubsRecursive bool,
    12 validExitCodes int32[]`,
  HostIP: `1 Host string, 2 IP string`,
  Ulimit: `1 Name string, 2 Soft int64, 3 Hard int64`,
  SecretEnv: `1 ID string, 2 name string, 3 optional bool`,
  CDIDevice: `1 name string, 2 optional bool`,
  Mount: `1 input int64, 2 selector string, 3 dest string, 4 output int64, 5 readonly bool, 6 mountType int32,
    19 TmpfsOpt TmpfsOpt, 20 cacheOpt CacheOpt, 21 secretOpt SecretOpt, 22 SSHOpt SSHOpt, 23 resultID string,
    24 contentCache int32`,
  TmpfsOpt: `1 size int64`,
  CacheOpt: `1 ID string, 2 sharing int32`,
  SecretOpt: `1 ID string, 2 uid uint32, 3 gid uint32, 4 mode uint32, 5 optional bool`,
  SSHOpt: `1 ID string, 2 uid uint32, 3 gid uint32, 4 mode uint32, 5 optional bool`,
  SourceOp: `1 identifier string, 2 attrs string{}`,
  BuildOp: `1 builder int64, 2 inputs BuildInput{}, 3 def Definition, 4 attrs string{}`,
  BuildInput: `1 input int64`,
  OpMetadata: `1 ignoreCache bool, 2 description string{}, 4 exportCache ExportCache, 5 caps bool{},
    6 progressGroup ProgressGroup, 7 linuxResources LinuxResources`,
  Source: `1 locations Locations{}, 2 infos SourceInfo[]`,
  Locations: `1 locations Location[]`,
  SourceInfo: `1 filename string, 2 data bytes, 3 definition Definition, 4 language string`,
  Location: `1 sourceIndex int32, 2 ranges Range[]`,
  Range: `1 start Position, 2 end Position`,
  Position: `1 line int32, 2 character int32`,
  ExportCache: `1 Value bool`,
  ProgressGroup: `1 id string, 2 name string, 3 weak bool`,
  LinuxResources: `1 memory int64, 2 memorySwap int64, 3 cpuShares uint64, 4 cpuPeriod uint64, 5 cpuQuota int64,
    6 cpusetCpus string, 7 cpusetMems string`,
  ProxyEnv: `1 httpProxy string, 2 httpsProxy string, 3 ftpProxy string, 4 noProxy string, 5 allProxy string`,
  WorkerConstraints: `1 filter string[]`,
  Definition: `1 def bytes[], 2 metadata OpMetadata{}, 3 Source Source`,
  FileOp: `2 actions FileAction[]`,
  FileAction: `1 input int64, 2 secondaryInput int64, 3 output int64, 4 action/copy FileActionCopy,
    5 action/mkfile FileActionMkFile, 6 action/mkdir FileActionMkDir, 7 action/rm FileActionRm,
    8 action/symlink FileActionSymlink`,
  FileActionCopy: `1 src string, 2 dest string, 3 owner ChownOpt, 4 mode int32, 5 followSymlink bool,
    6 dirCopyContents bool, 7 attemptUnpackDockerCompatibility bool, 8 createDestPath bool, 9 allowWildcard bool,
    10 allowEmptyWildcard bool, 11 timestamp int64, 12 includePatterns string[], 13 excludePatterns string[],
    14 alwaysReplaceExistingDestPaths bool, 15 modeStr string, 16 requiredPaths string[]`,
  FileActionMkFile: `1 path string, 2 mode int32, 3 data bytes, 4 owner ChownOpt, 5 timestamp int64`,
  FileActionSymlink: `1 oldpath string, 2 newpath string, 3 owner ChownOpt, 4 timestamp int64`,
  FileActionMkDir: `1 path string, 2 mode int32, 3 makeParents bool, 4 owner ChownOpt, 5 timestamp int64`,
  FileActionRm: `1 path string, 2 allowNotFound bool, 3 allowWildcard bool`,
  ChownOpt: `1 user UserOpt, 2 group UserOpt`,
  UserOpt: `1 user/byName NamedUserOpt, 2 user/byID uint32`,
  NamedUserOpt: `1 name string, 2 input int64`,
  MergeInput: `1 input int64`,
  MergeOp: `1 inputs MergeInput[]`,
  LowerDiffInput: `1 input int64`,
  UpperDiffInput: `1 input int64`,
  DiffOp: `1 lower LowerDiffInput, 2 upper UpperDiffInput`,
  PassthroughOp: `1 id string, 2 outputs int64[]`,
};

/** A type of values that are not messages. An enum is an `int32`. */
export type ScalarType = "string" | "bytes" | "bool" | "int32" | "uint32" | "int64" | "uint64";

/** A field of a message. */
export interface MessageField {
  readonly number: number;
  /** Property of the message that holds it; for one of several of a kind, that of the kind. */
  readonly property: string;
  /** For one of several of a kind. */
  readonly oneofCase: string | undefined;
  readonly shape: "one" | "list" | "map";
  /** A scalar type, else the name of a message. */
  readonly type: ScalarType | { readonly message: string };
}

/** A message's fields in the order of their numbers. */
export interface MessageType {
  /** With its package. */
  readonly typeName: string;
  readonly fields: readonly MessageField[];
  readonly byNumber: ReadonlyMap<number, MessageField>;
}

/** Names of all messages of the table, without their package. */
export function messageNames(): readonly string[] {
  return Object.keys(table);
}

const known = new Map<string, MessageType>();

/** A message of the table. Throws a `TypeError` for a name that is not there. */
export function messageType(name: string): MessageType {
  let type = known.get(name);
  if (type === undefined) {
    const text = table[name];
    if (text === undefined) throw new TypeError(`no message is named ${name}`);
    const fields = text.split(",").map(parseField);
    type = {
      typeName: `pb.${name}`,
      fields,
      byNumber: new Map(fields.map((field) => [field.number, field])),
    };
    known.set(name, type);
  }
  return type;
}

function parseField(text: string): MessageField {
  const [number = "", name = "", type = ""] = text.trim().split(" ");
  const [property = "", oneofCase] = name.split("/");
  const bare = type.replace(/\[\]$|\{\}$/, "");
  return {
    number: Number(number),
    property,
    oneofCase,
    shape: type.endsWith("[]") ? "list" : type.endsWith("{}") ? "map" : "one",
    type: isScalar(bare) ? bare : { message: bare },
  };
}

const scalars: readonly string[] = ["string", "bytes", "bool", "int32", "uint32", "int64", "uint64"];

function isScalar(type: string): type is ScalarType {
  return scalars.includes(type);
}
