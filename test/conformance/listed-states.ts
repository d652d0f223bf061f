import {
  copy,
  diff,
  git,
  image,
  local,
  merge,
  mkdir,
  mkfile,
  ociLayout,
  type State,
  scratch,
} from "../../src/llb/index.js";

const alpine = image("alpine:3.20");
const emptySha256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** The states that the listed vectors were made from, by the vector's name. */
export const listedStates: Readonly<Record<string, () => State>> = {
  image: () => alpine,
  "image-arm64": () => image("alpine:3.20", { platform: "linux/arm64" }),
  "image-resolve-pull": () => image("ghcr.io/foo/bar:v1", { resolveMode: "pull" }),
  "exec-simple": () => alpine.run(["sh", "-c", "echo hi"]).root(),
  "exec-env-dir-user": () =>
    alpine.addEnv("B", "2").addEnv("A", "1").dir("/work").user("1000:1000").run(["env"]).root(),
  "exec-custom-name": () => alpine.run(["true"], { customName: "my step", ignoreCache: true }).root(),
  "exec-cache-mount": () =>
    alpine
      .run(["true"], { mounts: [{ target: "/root/.cache", cache: { id: "pip", sharing: "locked" } }] })
      .root(),
  "exec-tmpfs": () =>
    alpine.run(["true"], { mounts: [{ target: "/tmp", tmpfs: { size: 67108864 } }] }).root(),
  "exec-secret-file": () =>
    alpine
      .run(["true"], {
        secrets: [{ target: "/run/secrets/tok", id: "tok", uid: 1000, gid: 1000, mode: 0o440 }],
      })
      .root(),
  "exec-ssh": () => alpine.run(["true"], { ssh: [{ id: "default" }] }).root(),
  "exec-net-sec": () => alpine.run(["true"], { network: "host", security: "insecure" }).root(),
  "exec-proxy": () =>
    alpine.run(["true"], { proxyEnv: { httpProxy: "http://p:3128", noProxy: "localhost" } }).root(),
  "file-mkdir-mkfile": () =>
    scratch().file(mkdir("/a/b", { mode: 0o755, makeParents: true }).mkfile("/a/b/c", "hi", { mode: 0o644 })),
  "file-copy": () =>
    alpine.file(
      copy(local("ctx", { sessionId: "s1", localUniqueId: "u1" }), {
        src: "/src",
        dest: "/dst/",
        copyDirContentsOnly: true,
        createDestPath: true,
        includePatterns: ["*.py"],
        excludePatterns: ["*_test.py"],
      }),
    ),
  "file-copy-named-owner": () =>
    alpine.file(copy(image("busybox"), { src: "/bin", dest: "/b", owner: "app:app" })),
  git: () => git("https://github.com/moby/buildkit.git", "v0.20.0", { keepGitDir: true }),
  ocilayout: () => ociLayout(`local/base@${emptySha256}`, { sessionId: "s1", storeId: "base" }),
  merge: () => {
    const a = scratch().file(mkfile("/a", "a", { mode: 0o644 }));
    const b = scratch().file(mkfile("/b", "b", { mode: 0o644 }));
    return merge([alpine, a, b]);
  },
  diff: () => diff(alpine, alpine.run(["touch", "/x"]).root()),
  "chain-50": () => {
    let state = alpine;
    for (let index = 0; index < 50; index += 1) {
      state = state
        .addEnv(`K${index % 20}`, "v")
        .run(["sh", "-c", `echo ${index}`])
        .root();
    }
    return state;
  },
};
