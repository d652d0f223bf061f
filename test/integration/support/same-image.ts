import { expect } from "vitest";
import type { ImageFile, ReadImage } from "./registry-image.js";

/** Files, links and config of two images are equal, and history tells of each layer. */
export function expectSame(image: ReadImage, other: ReadImage): void {
  expect(Object.fromEntries(filesOf(image))).toEqual(Object.fromEntries(filesOf(other)));
  expect(image.config.config).toEqual(other.config.config);
  expect(stepsOf(image)).toEqual(stepsOf(other));
  for (const { config, manifest } of [image, other]) {
    const made = config.history?.filter(({ empty_layer }) => empty_layer !== true) ?? [];
    expect(made).toHaveLength(manifest.layers.length);
    expect(config.rootfs?.diff_ids).toHaveLength(manifest.layers.length);
  }
}

/** Hard links by all the names of their file: which of them the archive has first is its own affair. */
function filesOf({ files }: ReadImage): ReadonlyMap<string, object> {
  const first = (path: string): string => {
    const file = files.get(path);
    return file?.type === "link" && file.linkname !== undefined ? first(file.linkname) : path;
  };
  const names = new Map<string, string[]>();
  for (const path of [...files.keys()].sort())
    names.set(first(path), [...(names.get(first(path)) ?? []), path]);
  // What commands wrote, and directories that were made for copies: the daemon gives them the time of the day.
  const timeless =
    /^(before|after|dev|proc|sys|etc|tmp|run|var|c)(\/|$)|^(opt(\/app)?|real|full|linked|[ab]|a\/b|b\/more|a\/bin(\/new)?)$/;
  return new Map(
    [...files.keys()].map((path) => {
      const { mtime, linkname, ...file } = files.get(first(path)) as ImageFile;
      const times = timeless.test(path) ? {} : { mtime: Math.floor(mtime) };
      return [
        path,
        {
          ...file,
          ...times,
          ...(file.type === "symlink" ? { linkname } : { names: names.get(first(path)) }),
        },
      ];
    }),
  );
}

/** What history tells, each step once however many layers it has. */
function stepsOf({ config }: ReadImage): readonly string[] {
  const told = (config.history ?? []).map(({ created_by = "" }) => created_by);
  return told.filter((text, at) => text !== told[at - 1]);
}
