import type { BaseNeed, DeviceNeed, FileNeed, Needs, SecretNeed, TreeNeed } from "../model/needs.js";
import type { AppliedStep } from "./define-step.js";
import type { Image } from "./image.js";
import { needId } from "./need-id.js";

/** What a chain needs from outside before it can be compiled. Pure. */
export function needsOf(image: Image): Needs {
  const bases: BaseNeed[] = [];
  const trees: TreeNeed[] = [];
  const files: FileNeed[] = [];
  const secrets: SecretNeed[] = [];
  const devices: DeviceNeed[] = [];
  const found = { bases, trees, files, secrets, devices };
  for (const [index, step] of image.steps.entries()) collect(step, index, found);
  return found;
}

interface Found {
  readonly bases: BaseNeed[];
  readonly trees: TreeNeed[];
  readonly files: FileNeed[];
  readonly secrets: SecretNeed[];
  readonly devices: DeviceNeed[];
}

function collect(step: AppliedStep, index: number, found: Found): void {
  const { bases, trees, files, secrets, devices } = found;
  const { location, title } = step;
  for (const [key, base] of Object.entries(step.needs.bases ?? {})) {
    bases.push({ ...base, id: needId(index, key), location });
  }
  for (const [key, tree] of Object.entries(step.needs.trees ?? {})) {
    const ignoreFile = tree.ignoreFile === undefined ? undefined : needId(index, tree.ignoreFile);
    trees.push({ ...tree, ignoreFile, id: needId(index, key), title, location });
  }
  for (const [key, file] of Object.entries(step.needs.files ?? {})) {
    files.push({ ...file, id: needId(index, key), title, location });
  }
  for (const [key, { origin }] of Object.entries(step.needs.secrets ?? {})) {
    secrets.push({ origin, id: needId(index, key), title, location });
  }
  for (const [key, device] of Object.entries(step.needs.devices ?? {})) {
    devices.push({ ...device, id: needId(index, key), title, location });
  }
}
