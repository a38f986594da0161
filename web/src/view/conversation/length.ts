/** How many code points a text has, as the server counts them; a half of a pair that stands alone counts as one. */
export function lengthOf(words: string): number {
  let n = words.length;
  for (let i = 0; i < words.length - 1; i++) {
    const unit = words.charCodeAt(i);
    if (unit >= 0xd800 && unit <= 0xdbff) {
      const next = words.charCodeAt(i + 1);
      if (next >= 0xdc00 && next <= 0xdfff) {
        n--;
        i++;
      }
    }
  }
  return n;
}
