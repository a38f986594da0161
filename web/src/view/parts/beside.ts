/** A rectangle of the viewport that a menu opens beside, in CSS pixels. A point is an empty rectangle. */
export interface Beside {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export const pointOf = (x: number, y: number): Beside => ({ left: x, right: x, top: y, bottom: y });
