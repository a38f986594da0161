import { expect, test } from "vitest";
import { derived, Value } from "./observable";

test("a listener is called at once and on each change, but not for the same value", () => {
  const value = new Value(1);
  const seen: number[] = [];
  const end = value.subscribe((v) => seen.push(v));
  value.set(1);
  value.set(2);
  value.update((v) => v + 1);
  end();
  end();
  value.set(9);
  expect(seen).toEqual([1, 2, 3]);
  expect(value.get()).toBe(9);
});

test("one function may subscribe twice, and a listener may end another while it runs", () => {
  const value = new Value("a");
  const seen: string[] = [];
  const listen = (v: string): void => void seen.push(v);
  const first = value.subscribe(listen);
  value.subscribe(listen);
  first();
  value.set("b");
  expect(seen).toEqual(["a", "a", "b"]);
  let end = (): void => undefined;
  value.subscribe((v) => {
    if (v === "c") end();
  });
  const late: string[] = [];
  end = value.subscribe((v) => late.push(v));
  value.set("c");
  expect(late).toEqual(["b"]);
});

test("the owner learns whether there is a listener", () => {
  const watched: boolean[] = [];
  const value = new Value(0, (w) => watched.push(w));
  const one = value.subscribe(() => undefined);
  const two = value.subscribe(() => undefined);
  one();
  two();
  expect(watched).toEqual([true, false]);
});

test("listeners of a derived value are called only when it changes", () => {
  const value = new Value(1);
  const even = derived(value, (v) => v % 2 === 0);
  const seen: boolean[] = [];
  const end = even.subscribe((v) => seen.push(v));
  for (const v of [3, 4, 6, 7]) value.set(v);
  end();
  value.set(8);
  expect(seen).toEqual([false, true, false]);
  expect(even.get()).toBe(true);
});
