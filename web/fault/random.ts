/** A generator of random numbers that a seed repeats (sfc32, by Chris Doty-Humphrey). */
export function seeded(seed: readonly number[]): () => number {
  let [a = 0, b = 0, c = 0] = seed;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 15; i++) next();
  return next;
}
