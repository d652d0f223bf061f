/** Key in an op's description under which the index of its chain step travels. */
export const stepKey = "kiln.step";
