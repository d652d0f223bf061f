import { expect, test } from "vitest";
import { copy } from "../../../src/llb/file-action.js";
import { git } from "../../../src/llb/git.js";
import { http } from "../../../src/llb/http.js";
import { image } from "../../../src/llb/image.js";
import { local } from "../../../src/llb/local.js";
import { marshal } from "../../../src/llb/marshal.js";
import { movingSources } from "../../../src/llb/moving-sources.js";
import { ociLayout } from "../../../src/llb/oci-layout.js";
import type { State } from "../../../src/llb/state.js";

const digest = `sha256:${"a".repeat(64)}`;
const commit = "0123456789abcdef0123456789abcdef01234567";

function moving(source: State): readonly string[] {
  return movingSources(marshal(image(`busybox@${digest}`).file(copy(source, { src: "/", dest: "/x" }))));
}

const fixed: readonly (readonly [string, State])[] = [
  ["a local tree", local("ctx", { localUniqueId: "x" })],
  ["an OCI layout", ociLayout(`x@${digest}`)],
  ["an image by digest", image(`debian:12@${digest}`)],
  ["a file with a checksum", http("https://example.com/x", { checksum: digest })],
  ["a commit", git("https://example.com/x.git", commit)],
];

test.each(fixed)("%s is fixed", (_what, source) => {
  expect(moving(source)).toEqual([]);
});

const loose: readonly (readonly [string, State, string])[] = [
  ["an image by tag", image("debian:12"), "docker-image://docker.io/library/debian:12"],
  ["a file without a checksum", http("https://example.com/x"), "https://example.com/x"],
  ["a branch", git("https://example.com/x.git", "main"), "git://example.com/x.git#main"],
  [
    "a branch that looks like the beginning of a commit",
    git("https://example.com/x.git", commit.slice(0, 39)),
    `git://example.com/x.git#${commit.slice(0, 39)}`,
  ],
];

test.each(loose)("%s may move", (_what, source, named) => {
  expect(moving(source)).toEqual([named]);
});
