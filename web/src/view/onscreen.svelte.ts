import type { Presence, Readable } from "../model";

/**
 * Which rows of a long list are near the screen, told by one observer for all
 * of them: only these ask who is online, since at most 100 people are watched at once.
 */
const seen = new WeakMap<Element, (near: boolean) => void>();
let observer: IntersectionObserver | undefined;

function watch(element: Element, tell: (near: boolean) => void): () => void {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const entry of entries) seen.get(entry.target)?.(entry.isIntersecting);
    },
    { rootMargin: "300px 0px" },
  );
  seen.set(element, tell);
  observer.observe(element);
  return () => {
    seen.delete(element);
    observer?.unobserve(element);
  };
}

/** Whether the element that `attach` is put on is near the screen. */
export class OnScreen {
  near: boolean = $state(false);
  readonly attach = (element: Element): (() => void) => watch(element, (near) => (this.near = near));
}

const nothing: Presence = { online: null, lastSeen: null };

/** The presence of somebody whom nobody looks at. */
export const unknown: Readable<Presence> = {
  get: () => nothing,
  subscribe(run) {
    run(nothing);
    return () => undefined;
  },
};
