import { oneLine } from "../one-line.js";
import type { FoundSecret } from "./find-secrets.js";

/** A text about a step without the values that look like secrets, also where titles have cut them short. */
export function maskSecrets(text: string, secrets: readonly FoundSecret[]): string {
  let masked = text;
  for (const value of secrets.flatMap((secret) => [
    secret.value,
    oneLine(secret.value),
    ...lines(secret.value),
  ])) {
    if (value === "" || value === "…") continue;
    masked = masked.replaceAll(value, "***");
    if (!masked.endsWith("…")) continue;
    const body = masked.slice(0, -1);
    for (let length = Math.min(value.length, body.length); length > 0; length -= 1) {
      if (!body.endsWith(value.slice(0, length))) continue;
      masked = `${body.slice(0, -length)}***…`;
      break;
    }
  }
  return masked;
}

function lines(value: string): readonly string[] {
  return value.includes("\n") ? value.split("\n").map((line) => line.trim()) : [];
}
