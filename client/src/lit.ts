/** Which frames and joints a word lights up: the fewest that together hold half of its weight. Pure functions. */

export const SHARE = 0.5;

/** The places, ascending, of the largest weights that together hold `share` of their sum; none where the sum is 0. */
export function holding(weights: readonly number[], share = SHARE): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total <= 0) return [];
  const order = weights.map((_, place) => place).sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
  const chosen: number[] = [];
  let held = 0;
  for (const place of order) {
    if (held >= share * total * (1 - 1e-6)) break;
    held += weights[place] ?? 0;
    chosen.push(place);
  }
  return chosen.sort((a, b) => a - b);
}

/** Ascending places -> [first, last] of each unbroken run. */
export function runs(places: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const place of places) {
    const last = found.at(-1);
    if (last && last[1] === place - 1) last[1] = place;
    else found.push([place, place]);
  }
  return found;
}

/** Weights between 0 (the least) and 1 (the greatest); all 0 where they are even. Frames that were not read count as the least. */
export function stretched(weights: readonly number[]): number[] {
  const read = weights.filter((weight) => weight > 0);
  const least = Math.min(...read);
  const most = Math.max(...read);
  if (!(most > least)) return weights.map(() => 0);
  return weights.map((weight) => Math.max(0, (weight - least) / (most - least)));
}
