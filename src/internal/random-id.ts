import { randomBytes } from "node:crypto";

/** A new random id: 25 characters of base 36 (about 129 bits). */
export function randomId(): string {
  const value = BigInt(`0x${randomBytes(17).toString("hex")}`);
  return value.toString(36).padStart(25, "0").slice(-25);
}
