const isLong = process.env["KILN_TEST_LONG"] === "1";

/** How often, or how large: here, and in `npm run soak`, which sets `KILN_TEST_LONG`. */
export function inSoak(here: number, soak: number): number {
  return isLong ? soak : here;
}
