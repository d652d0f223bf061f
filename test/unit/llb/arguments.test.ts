import { expect, test } from "vitest";
import { formatCallSite, KilnError } from "../../../src/errors.js";
import {
  copy,
  diff,
  git,
  http,
  image,
  imageBlob,
  local,
  marshal,
  merge,
  mkdir,
  mkfile,
  ociLayout,
  ociLayoutBlob,
  passthrough,
  rm,
  type SourceMap,
  scratch,
  shlex,
  sourceMap,
  symlink,
} from "../../../src/llb/index.js";

const base = image("alpine");
// What JavaScript callers can pass and TypeScript would refuse.
const wrong = (value: unknown): never => value as never;

function failure(call: () => unknown): KilnError {
  try {
    call();
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const refusals: readonly (readonly [
  title: string,
  call: () => unknown,
  code: string,
  message: string,
  hint: string,
])[] = [
  [
    "a snake_case option",
    () => image("a", wrong({ resolve_mode: "pull" })),
    "ERR_KILN_UNKNOWN_OPTION",
    'image(): unknown option "resolve_mode"',
    'Did you mean "resolveMode"?',
  ],
  [
    "a misspelt option of a command",
    () => base.run(["true"], wrong({ readonlyRootFS: true })),
    "ERR_KILN_UNKNOWN_OPTION",
    'run(): unknown option "readonlyRootFS"',
    'Did you mean "readonlyRootFs"?',
  ],
  [
    "a misspelt option of a mount",
    () => base.run(["true"], { mounts: [wrong({ target: "/a", read_only: true })] }),
    "ERR_KILN_UNKNOWN_OPTION",
    'run() mounts[0]: unknown option "read_only"',
    'Did you mean "readonly"?',
  ],
  [
    "a reference that is none",
    () => image("A B"),
    "ERR_KILN_INVALID_REFERENCE",
    'not an image reference: "A B": repository names are lower case',
    "",
  ],
  [
    "an empty command",
    () => base.run([]),
    "ERR_KILN_INVALID_ARGUMENT",
    "run(): the command is empty",
    'Pass it as ["sh", "-c", "…"] or as a string.',
  ],
  [
    "a NUL in a command",
    () => base.run(["a\0b"]),
    "ERR_KILN_INVALID_ARGUMENT",
    "run(): args[0] contains a NUL character or half a surrogate pair",
    "Remove that character.",
  ],
  [
    "half a character",
    () => base.addEnv("A", "\ud800"),
    "ERR_KILN_INVALID_ARGUMENT",
    "addEnv(): the value of A contains a NUL character or half a surrogate pair",
    "Remove that character.",
  ],
  [
    "a variable with an equals sign",
    () => base.addEnv("A=B", "c"),
    "ERR_KILN_INVALID_ARGUMENT",
    'addEnv(): key contains "=": "A=B"',
    "Pass name and value as two arguments.",
  ],
  [
    "an unknown network",
    () => base.network(wrong("bridge")),
    "ERR_KILN_INVALID_ARGUMENT",
    'network(): network must be one of "sandbox", "host", "none"',
    "Pass network as one of these words.",
  ],
  [
    "a host that is no address",
    () => base.addExtraHost("a", "1.2.3"),
    "ERR_KILN_INVALID_ARGUMENT",
    'addExtraHost(): not an IP address: "1.2.3"',
    "Write it like 10.0.0.1 or fd00::1.",
  ],
  [
    "an exit code that is no integer",
    () => base.validExitCodes(1.5),
    "ERR_KILN_INVALID_ARGUMENT",
    "validExitCodes(): an exit code must be an integer from -2147483648 to 2147483647",
    "Correct an exit code.",
  ],
  [
    "a limit beyond exact numbers",
    () => base.ulimit("cpu", { soft: 2 ** 60, hard: 1 }),
    "ERR_KILN_INVALID_ARGUMENT",
    "ulimit(): soft must be an integer from -9223372036854775808 to 9223372036854775807",
    "Correct soft; pass a bigint beyond 9007199254740991.",
  ],
  [
    "a platform without architecture",
    () => base.platform(wrong({ os: "linux" })),
    "ERR_KILN_INVALID_PLATFORM",
    "platform(): platform has no architecture",
    'Write it as "linux/amd64" or { os: "linux", architecture: "amd64" }.',
  ],
  [
    "a tmpfs with a source",
    () => base.run(["true"], { mounts: [{ target: "/t", tmpfs: true, source: base }] }),
    "ERR_KILN_INVALID_ARGUMENT",
    "run(): mounts[0] is a tmpfs with a source",
    "Leave out source: a tmpfs starts empty.",
  ],
  [
    "a secret without a place",
    () => base.run(["true"], { secrets: [{ id: "x" }] }),
    "ERR_KILN_INVALID_ARGUMENT",
    "run(): a secret has neither target nor env",
    "Say where the command finds it: target or env.",
  ],
  [
    "a command instead of its result",
    () => merge([base, wrong(base.run(["true"]))]),
    "ERR_KILN_INVALID_ARGUMENT",
    "merge(): states[1] must be a State",
    "Pass the result of image(), scratch(), local() or of another state's method; of run(), pass .root().",
  ],
  [
    "building on a tmpfs",
    () => base.run(["true"], { mounts: [{ target: "/t", tmpfs: true }] }).getMount("/t"),
    "ERR_KILN_INVALID_ARGUMENT",
    "getMount(): the mount cannot be used: the tmpfs mount at /t leaves nothing behind",
    "Mount it writable, without tmpfs, cache and forceNoOutput, to keep what the command writes there.",
  ],
  [
    "building on a cache",
    () =>
      base
        .run(["true"])
        .addMount("/c", scratch(), { cache: { id: "c" } })
        .run(["true"]),
    "ERR_KILN_INVALID_ARGUMENT",
    "run(): this state cannot be used: the cache mount at /c is not part of the result",
    "Mount it writable, without tmpfs, cache and forceNoOutput, to keep what the command writes there.",
  ],
  [
    "a mount that is not there",
    () => base.run(["true"]).getMount("/x"),
    "ERR_KILN_INVALID_ARGUMENT",
    'getMount(): nothing is mounted at "/x"',
    "The mounts are: /.",
  ],
  [
    "a copy without paths",
    () => copy(base, wrong(undefined)),
    "ERR_KILN_INVALID_ARGUMENT",
    "copy(): src and dest are missing",
    'Write copy(state, { src: "/a", dest: "/b" }).',
  ],
  ["an empty path", () => rm(""), "ERR_KILN_INVALID_ARGUMENT", "rm(): path is empty", "Pass path."],
  [
    "a mode that is none",
    () => mkdir("/a", { mode: -1 }),
    "ERR_KILN_INVALID_ARGUMENT",
    "mkdir(): mode must be an integer from 0 to 4294967295",
    "Correct mode.",
  ],
  [
    "a time that is none",
    () => mkfile("/a", "", { createdTime: new Date("never") }),
    "ERR_KILN_INVALID_ARGUMENT",
    "mkfile(): createdTime must be a Date or a bigint of nanoseconds, between the years 1678 and 2262",
    "Pass new Date(…) or nanoseconds since 1970.",
  ],
  [
    "a link without a name",
    () => symlink("a", ""),
    "ERR_KILN_INVALID_ARGUMENT",
    "symlink(): newPath is empty",
    "Pass newPath.",
  ],
  [
    "an action that is none",
    () => base.file(wrong({})),
    "ERR_KILN_INVALID_ARGUMENT",
    "file(): action must be a FileAction",
    'Pass mkdir("/a"), copy(…) or another of these.',
  ],
  [
    "a layout without digest",
    () => ociLayout("a:latest"),
    "ERR_KILN_INVALID_REFERENCE",
    'ociLayout(): ref has no digest: "a:latest"',
    "Write it as name@sha256:…; the daemon does not resolve tags of a layout.",
  ],
  [
    "a blob with a tag",
    () => imageBlob(`a:b@sha256:${"0".repeat(64)}`),
    "ERR_KILN_INVALID_REFERENCE",
    `imageBlob(): ref of a blob needs a digest and no tag: "a:b@sha256:${"0".repeat(64)}"`,
    "Write it as name@sha256:….",
  ],
  [
    "a blob without digest",
    () => ociLayoutBlob("a"),
    "ERR_KILN_INVALID_REFERENCE",
    'ociLayoutBlob(): ref of a blob needs a digest and no tag: "a"',
    "Write it as name@sha256:….",
  ],
  [
    "an address of another scheme",
    () => http("ftp://a/b"),
    "ERR_KILN_INVALID_ARGUMENT",
    "http(): url must begin with http:// or https://",
    "Pass the full address of the file.",
  ],
  [
    "a repository with a fragment",
    () => git("https://h/p#main"),
    "ERR_KILN_INVALID_ARGUMENT",
    "git(): remote cannot be read: it has a fragment; pass ref and subdirectory on their own",
    "Write it as https://host/path or user@host:path, and the ref as the second argument.",
  ],
  [
    "a repository of another protocol",
    () => git("ftp://h/p"),
    "ERR_KILN_INVALID_ARGUMENT",
    "git(): remote cannot be read: Git has no protocol ftp://",
    "Write it as https://host/path or user@host:path, and the ref as the second argument.",
  ],
  [
    "a local directory that nothing tells apart",
    () => marshal(local("ctx")),
    "ERR_KILN_INVALID_ARGUMENT",
    "marshal(): local://ctx belongs to no session and has no unique id",
    "Pass sessionId to local(), or localUniqueId to marshal(): a new one for every build.",
  ],
  [
    "a quote without end",
    () => shlex("a 'b"),
    "ERR_KILN_INVALID_ARGUMENT",
    "shlex(): a quote (') has no end",
    "Close it, or pass the words as an array.",
  ],
  [
    "nothing handed through",
    () => passthrough("id", [{ state: base }]),
    "ERR_KILN_INVALID_ARGUMENT",
    "passthrough(): no input is handed through",
    "Set output: true on one that is not empty.",
  ],
  [
    "a nested build of nothing",
    () => scratch().build(),
    "ERR_KILN_INVALID_ARGUMENT",
    "build(): the state is empty",
    "Call it on a state that holds the definition's file.",
  ],
  [
    "a change that forgets to return",
    () => base.with(wrong(() => undefined)),
    "ERR_KILN_INVALID_ARGUMENT",
    "with(): an option returned no State",
    "Return the changed state from it.",
  ],
  [
    "a location without a map",
    () => diff(base, base, { location: wrong({}) }),
    "ERR_KILN_INVALID_ARGUMENT",
    "diff(): location needs a sourceMap and ranges",
    "Write location: { sourceMap, ranges: [{ start: { line: 1 } }] }.",
  ],
];

test.each(refusals)("%s is refused at the call", (_title, call, code, message, hint) => {
  const error = failure(call);
  expect({ code: error.code, message: error.message }).toEqual({ code, message });
  if (hint !== "") expect(error.hint).toBe(hint);
  expect(error.location?.file).toMatch(/arguments\.test\.ts$/);
});

test("the place is that of the user's call", () => {
  const error = failure(() => base.run(["true"], wrong({ net: "host" })));
  const line = Number(/arguments\.test\.ts:(\d+):/.exec(new Error().stack ?? "")?.[1]) - 1;
  expect(formatCallSite(error.location!)).toContain(`arguments.test.ts:${line}:`);
});

test("a source map whose state was written in itself is refused", () => {
  const map: { -readonly [Key in keyof SourceMap]: SourceMap[Key] } = { ...sourceMap("a.ts", { data: "x" }) };
  const held = scratch().file(mkdir("/a"), { location: { sourceMap: map, ranges: [] } });
  map.state = held;
  expect(failure(() => marshal(held))).toMatchObject({
    code: "ERR_KILN_INVALID_ARGUMENT",
    message: "marshal(): the state of a source map refers back to the map",
  });
});
