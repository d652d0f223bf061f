import { createHash } from "node:crypto";
import {
  copy,
  type GitOptions,
  git,
  image,
  imageBlob,
  local,
  ociLayoutBlob,
  passthrough,
  type State,
  scratch,
} from "../../../src/llb/index.js";
import { int, message, text, textMap } from "../wire.js";
import { emptySha256 as sum } from "./shared.js";

/** An op that not every engine of the tests can do. */
export interface NewerOp {
  readonly title: string;
  readonly state: () => State;
  /** The capability without which a daemon cannot, and the first BuildKit that has it. */
  readonly cap: string;
  readonly needs: string;
  /** All bytes of the op, or those of its metadata for what is no part of the op. */
  readonly op?: Buffer;
  readonly metadata?: Buffer;
  /** The capability is not told to the daemon: Go's client does not either. */
  readonly unsent?: true;
}

/** Go writes a field for constraints even where there are none. */
const noConstraints = message(11);
const source = (identifier: string, attrs: Readonly<Record<string, string>>): Buffer =>
  message(3, text(1, identifier), textMap(2, attrs));
const input = (op: Buffer): Buffer =>
  message(1, text(1, `sha256:${createHash("sha256").update(op).digest("hex")}`));

const busybox = (): State => image("busybox", { platform: "linux/amd64" });
const busyboxOp = Buffer.concat([
  message(10, text(1, "amd64"), text(2, "linux")),
  noConstraints,
  source("docker-image://docker.io/library/busybox:latest", {}),
]);
const tree = (): State => local("l", { localUniqueId: "u" });
const treeOp = Buffer.concat([noConstraints, source("local://l", { "local.unique": "u" })]);

const repository = "https://git.example.com/a.git";
const gitAttrs = {
  "git.fullurl": repository,
  "git.authtokensecret": "GIT_AUTH_TOKEN",
  "git.authheadersecret": "GIT_AUTH_HEADER",
};

function gitOp(
  option: string,
  options: GitOptions,
  more: { readonly cap: string; readonly needs: string; readonly attrs: Readonly<Record<string, string>> },
): NewerOp {
  return {
    title: `git's ${option}`,
    state: () => git(repository, "main", options),
    cap: more.cap,
    needs: more.needs,
    op: Buffer.concat([
      noConstraints,
      source("git://git.example.com/a.git#main", { ...gitAttrs, ...more.attrs }),
    ]),
  };
}

const commit = "0123456789012345678901234567890123456789";
const bundle = `docker-image+blob://registry.example.com/a@${sum}`;

/** Ops of BuildKit 0.22 and newer, with their bytes. */
export const newerOps: readonly NewerOp[] = [
  {
    title: "a blob of a registry",
    state: () => imageBlob(`registry.example.com/a@${sum}`, { filename: "f", chmod: 0o600, uid: 1, gid: 2 }),
    cap: "source.imageblob",
    needs: "0.28",
    op: Buffer.concat([
      noConstraints,
      source(`docker-image+blob://registry.example.com/a@${sum}`, {
        ...{ "http.filename": "f", "http.perm": "0600", "http.uid": "1", "http.gid": "2" },
      }),
    ]),
  },
  {
    title: "a blob of a content store",
    state: () => ociLayoutBlob(`a/b@${sum}`, { sessionId: "s", storeId: "t" }),
    cap: "source.imageblob",
    needs: "0.28",
    op: Buffer.concat([
      noConstraints,
      source(`oci-layout+blob://docker.io/a/b@${sum}`, { "oci.session": "s", "oci.store": "t" }),
    ]),
  },
  gitOp(
    "checksum",
    { checksum: commit },
    { cap: "source.git.checksum", needs: "0.22", attrs: { "git.checksum": commit } },
  ),
  gitOp(
    "skipSubmodules",
    { skipSubmodules: true },
    { cap: "source.git.skipsubmodules", needs: "0.24", attrs: { "git.skipsubmodules": "true" } },
  ),
  gitOp(
    "signature",
    { signature: { pubKey: "K", rejectExpired: true, requireSignedTag: true } },
    {
      cap: "source.git.signatureverify",
      needs: "0.26",
      attrs: { "git.sig.pubkey": "K", "git.sig.rejectexpired": "true", "git.sig.requiresignedtag": "true" },
    },
  ),
  gitOp(
    "mTime",
    { mTime: "commit" },
    { cap: "source.git.mtime", needs: "0.29", attrs: { "git.mtime": "commit" } },
  ),
  gitOp(
    "fetchByCommit",
    { fetchByCommit: true },
    { cap: "source.git.fetchbycommit", needs: "0.30", attrs: { "git.fetchbycommit": "true" } },
  ),
  gitOp(
    "bundle",
    { bundle: { locator: bundle } },
    { cap: "source.git.bundle", needs: "0.30", attrs: { "git.bundle": bundle } },
  ),
  gitOp(
    "checkoutBundle",
    { checkoutBundle: true },
    { cap: "source.git.checkoutbundle", needs: "0.30", attrs: { "git.checkoutbundle": "true" } },
  ),
  {
    title: "a copy's required paths",
    state: () => scratch().file(copy(tree(), { src: "/", dest: "/", requiredPaths: ["a", "b/*"] })),
    cap: "file.copy.requiredpaths",
    needs: "0.26",
    unsent: true,
    op: Buffer.concat([
      input(treeOp),
      noConstraints,
      message(
        4,
        message(
          2,
          int(1, -1),
          message(
            4,
            ...[text(1, "/"), text(2, "/"), int(4, -1), int(11, -1)],
            ...[text(16, "a"), text(16, "b/*")],
          ),
        ),
      ),
    ]),
  },
  {
    title: "limits of memory and CPU",
    state: () =>
      busybox()
        .run(["true"], {
          linuxResources: {
            ...{ memory: 1024, memorySwap: -1, cpuShares: 2, cpuPeriod: 3, cpuQuota: 4 },
            ...{ cpusetCpus: "0-1", cpusetMems: "0" },
          },
        })
        .root(),
    cap: "exec.meta.linux.resources",
    needs: "0.31",
    metadata: message(
      7,
      ...[int(1, 1024), int(2, -1), int(3, 2), int(4, 3), int(5, 4)],
      ...[text(6, "0-1"), text(7, "0")],
    ),
  },
  {
    title: "passing through once others are done",
    state: () => {
      const [only] = passthrough("p", [{ state: busybox(), output: true }, { state: tree() }]);
      if (only === undefined) throw new Error("passthrough() gave nothing");
      return only;
    },
    cap: "passthroughop",
    needs: "0.31",
    // The indexes of its outputs are packed.
    op: Buffer.concat([
      ...[input(busyboxOp), input(treeOp), noConstraints],
      message(8, text(1, "p"), message(2, Buffer.from([0]))),
    ]),
  },
];
