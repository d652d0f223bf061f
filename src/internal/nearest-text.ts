/**
 * The candidate that a text was probably meant to be: the same but for case, `_` and `-`, or else the one with the
 * fewest letters to change, of which a quarter of the text's may be. `undefined` if none is near.
 */
export function nearestText(text: string, candidates: readonly string[]): string | undefined {
  const plain = plainForm(text);
  const exact = candidates.find((candidate) => plainForm(candidate) === plain);
  if (exact !== undefined) return exact;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(text.length / 4)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(plain, plainForm(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function plainForm(text: string): string {
  return text.replaceAll(/[_-]/g, "").toLowerCase();
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
