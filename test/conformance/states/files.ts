import { copy, image, merge, mkdir, mkfile, rm, scratch, symlink } from "../../../src/llb/index.js";
import { alpine, type Case, yes } from "./shared.js";

const busybox = image("busybox");
const [a, b, c, d] = [image("a"), image("b"), image("c"), image("d")] as const;
const time = 1_700_000_000_123_456_789n;
const dir755 = { mode: 0o755 };
const file644 = { mode: 0o644 };
const inner = mkdir("d", dir755).mkfile("d/f", "x", { ...file644, owner: "in" });

const owners = [
  ...["root", "root:root", "0", "", ":", "a:", ":g", "-1", "+5", "4294967295", "2147483647", "00012"],
  "u:2147483648",
];

const paths = [
  ["", ""],
  [".", "."],
  ["/", "/"],
  ["/a/", "/b/"],
  ["a/./b", "c/."],
  ["../x", "../y/"],
  ["/a/..", "/."],
  ["a//b", "./"],
  ["/a/*", "/b/../"],
  ["~", "d/./."],
] as const;

function withMount() {
  return alpine.run(yes, { mounts: [{ target: "/out" }] });
}

/** File operations with all their options. */
export const fileCases: Readonly<Record<string, Case>> = {
  "file-mkdir-all": () =>
    alpine
      .dir("/w")
      .file(mkdir("a/../b/", { mode: 0o1777, makeParents: true, owner: "1:2", createdTime: time })),
  "file-mkfile-all": () =>
    alpine.dir("/w").file(
      mkfile("./f", Uint8Array.of(0, 255, 128), {
        mode: 0o600,
        owner: { user: 5, group: 6 },
        createdTime: new Date(0),
      }),
    ),
  "file-mkfile-empty": () => alpine.file(mkfile("/f", "", { mode: 0 })),
  "file-symlink": () => alpine.dir("/w").file(symlink("../a", "b", { owner: "me", createdTime: time })),
  "file-rm-all": () => alpine.dir("/w").file(rm("x/*", { allowNotFound: true, allowWildcard: true })),
  "file-rm": () => alpine.file(rm("/x").rm("/y")),
  ...Object.fromEntries(
    owners.flatMap((owner, index): [string, Case][] => [
      [`file-owner-${index}`, () => alpine.file(mkdir("/a", { mode: 0o755, owner }))],
      [`file-owner-scratch-${index}`, () => scratch().file(mkdir("/a", { mode: 0o755, owner }))],
    ]),
  ),
  "file-copy-all": () =>
    alpine.file(
      copy(busybox, {
        src: "/s",
        dest: "/d",
        mode: 0o644,
        followSymlinks: true,
        copyDirContentsOnly: true,
        includePatterns: ["a", ""],
        excludePatterns: ["b"],
        requiredPaths: ["c"],
        attemptUnpack: true,
        createDestPath: true,
        allowWildcard: true,
        allowEmptyWildcard: true,
        owner: { user: "n", group: 9 },
        createdTime: time,
        alwaysReplaceExistingDestPaths: true,
      }),
    ),
  "file-copy-modestr": () => alpine.file(copy(busybox, { src: "/s", dest: "/d", mode: "u+x,g-w" })),
  "file-copy-mode-zero": () => alpine.file(copy(busybox, { src: "/s", dest: "/d", mode: 0 })),
  "file-copy-mode-high": () =>
    alpine.file(copy(busybox, { src: "/s", dest: "/d", mode: 0x80000000 + 0o755 })),
  ...Object.fromEntries(
    paths.map(([src, dest], index): [string, Case] => [
      `file-copy-path-${index}`,
      () => alpine.dir("/w/v").file(copy(busybox.dir("/s"), { src, dest })),
    ]),
  ),
  "file-copy-self": () => alpine.file(copy(alpine, { src: "/a", dest: "/b" })),
  "file-copy-scratch": () => alpine.file(copy(scratch(), { src: "/a", dest: "/b" })),
  "file-scratch-copy": () => scratch().file(copy(alpine, { src: "/a", dest: "/b", owner: "x" })),
  "file-copy-many": () =>
    alpine.file(
      copy(a, { src: "/1", dest: "/1" })
        .copy(b, { src: "/2", dest: "/2" })
        .mkdir("/m", { mode: 0o700 })
        .copy(c, { src: "/3", dest: "/3" })
        .copy(a, { src: "/4", dest: "/4" })
        .copy(alpine, { src: "/5", dest: "/5" }),
    ),
  "file-with-state": () =>
    alpine
      .dir("/o")
      .file(
        mkdir("p", dir755).copy(inner.withState(busybox.dir("/i")), { src: "d/f", dest: "q", owner: "out" }),
      ),
  "file-with-state-twice": () => {
    const made = inner.withState(scratch().dir("/i"));
    return alpine.file(
      copy(made, { src: "d", dest: "/1" })
        .copy(made, { src: "d/f", dest: "/2" })
        .copy(a, { src: "/x", dest: "/y" }),
    );
  },
  "file-with-state-nested": () => {
    const innermost = copy(a, { src: "/1", dest: "/2" }).withState(b);
    const nested = copy(innermost, { src: "/3", dest: "/4" }).copy(c, { src: "/5", dest: "/6" });
    return alpine.file(
      copy(nested.withState(scratch()), { src: "/", dest: "/" }).copy(d, { src: "/7", dest: "/8" }),
    );
  },
  "file-copy-mount": () => {
    const exec = withMount();
    return busybox.file(
      copy(exec.getMount("/out"), { src: "/a", dest: "/b" }).copy(exec.root(), { src: "/c", dest: "/d" }),
    );
  },
  "file-options": () =>
    alpine
      .file(mkdir("/a", dir755), {
        customName: "file",
        ignoreCache: true,
        platform: "linux/arm64",
        linuxResources: { memory: 5 },
      })
      .run(yes)
      .root(),
  "file-on-merge-mount": () => {
    const exec = withMount();
    return merge([alpine, exec.getMount("/out")]).file(
      copy(exec.getMount("/out"), { src: "/x", dest: "/y" }),
    );
  },
};
