import { KilnError } from "../../../src/errors.js";

/** What a call throws; fails when it throws nothing, or no `KilnError`. */
export function thrown(call: () => unknown): KilnError {
  try {
    call();
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
