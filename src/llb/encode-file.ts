import type { ChownFields, FileActionFields, FileFields, UserFields } from "./op-fields.js";
import {
  type WireWriter,
  writeBytes,
  writeFlag,
  writeInt32,
  writeInt64,
  writeText,
  writeTexts,
} from "./wire-writer.js";

/** Writes the fields of `pb.FileOp`. */
export function encodeFile(writer: WireWriter, file: FileFields): void {
  for (const action of file.actions ?? []) {
    writer.uint32(18).fork();
    encodeAction(writer, action);
    writer.ldelim();
  }
}

function encodeAction(writer: WireWriter, action: FileActionFields): void {
  writeInt64(writer, 1, action.input);
  writeInt64(writer, 2, action.secondaryInput);
  writeInt64(writer, 3, action.output);
  const kind = action.action;
  switch (kind?.case) {
    case "copy": {
      const copy = kind.value;
      writer.uint32(34).fork();
      writeText(writer, 1, copy.src);
      writeText(writer, 2, copy.dest);
      encodeOwner(writer, 3, copy.owner);
      writeInt32(writer, 4, copy.mode);
      writeFlag(writer, 5, copy.followSymlink);
      writeFlag(writer, 6, copy.dirCopyContents);
      writeFlag(writer, 7, copy.attemptUnpackDockerCompatibility);
      writeFlag(writer, 8, copy.createDestPath);
      writeFlag(writer, 9, copy.allowWildcard);
      writeFlag(writer, 10, copy.allowEmptyWildcard);
      writeInt64(writer, 11, copy.timestamp);
      writeTexts(writer, 12, copy.includePatterns);
      writeTexts(writer, 13, copy.excludePatterns);
      writeFlag(writer, 14, copy.alwaysReplaceExistingDestPaths);
      writeText(writer, 15, copy.modeStr);
      writeTexts(writer, 16, copy.requiredPaths);
      writer.ldelim();
      break;
    }
    case "mkfile": {
      const mkfile = kind.value;
      writer.uint32(42).fork();
      writeText(writer, 1, mkfile.path);
      writeInt32(writer, 2, mkfile.mode);
      writeBytes(writer, 3, mkfile.data);
      encodeOwner(writer, 4, mkfile.owner);
      writeInt64(writer, 5, mkfile.timestamp);
      writer.ldelim();
      break;
    }
    case "mkdir": {
      const mkdir = kind.value;
      writer.uint32(50).fork();
      writeText(writer, 1, mkdir.path);
      writeInt32(writer, 2, mkdir.mode);
      writeFlag(writer, 3, mkdir.makeParents);
      encodeOwner(writer, 4, mkdir.owner);
      writeInt64(writer, 5, mkdir.timestamp);
      writer.ldelim();
      break;
    }
    case "rm": {
      const rm = kind.value;
      writer.uint32(58).fork();
      writeText(writer, 1, rm.path);
      writeFlag(writer, 2, rm.allowNotFound);
      writeFlag(writer, 3, rm.allowWildcard);
      writer.ldelim();
      break;
    }
    case "symlink": {
      const symlink = kind.value;
      writer.uint32(66).fork();
      writeText(writer, 1, symlink.oldpath);
      writeText(writer, 2, symlink.newpath);
      encodeOwner(writer, 3, symlink.owner);
      writeInt64(writer, 4, symlink.timestamp);
      writer.ldelim();
      break;
    }
    default:
  }
}

function encodeOwner(writer: WireWriter, field: number, owner: ChownFields | undefined): void {
  if (owner === undefined) return;
  writer.uint32(field * 8 + 2).fork();
  encodeUser(writer, 1, owner.user);
  encodeUser(writer, 2, owner.group);
  writer.ldelim();
}

function encodeUser(writer: WireWriter, field: number, user: UserFields | undefined): void {
  if (user === undefined) return;
  writer.uint32(field * 8 + 2).fork();
  const kind = user.user;
  if (kind?.case === "byName") {
    writer.uint32(10).fork();
    writeText(writer, 1, kind.value.name);
    writeInt64(writer, 2, kind.value.input);
    writer.ldelim();
  } else if (kind?.case === "byID") {
    // A member of a oneof is written even where it is zero: its presence is what says root.
    writer.uint32(16).uint32(kind.value);
  }
  writer.ldelim();
}
