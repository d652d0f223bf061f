import { spawnSync } from "node:child_process";

/** A line of an htpasswd file. The registry takes bcrypt alone; Perl's crypt is the C library's. */
export function htpasswdLine(username: string, password: string): string {
  const salt = "$2b$05$KilnKilnKilnKilnKilnKO";
  const made = spawnSync("perl", ["-e", "print crypt(<STDIN>, $ARGV[0])", salt], { input: password });
  return `${username}:${String(made.stdout)}\n`;
}
