import type { Presence, Readable } from "../model";

/**
 * Finds the rows of a long list that are near the screen, with one observer for all of them. Only these rows watch
 * presence, because a client may watch at most 100 users.
 */
const seen = new WeakMap<Element, (near: boolean) => void>();
let observer: IntersectionObserver | undefined;

function watch(element: Element, notify: (near: boolean) => void): () => void {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const entry of entries) seen.get(entry.target)?.(entry.isIntersecting);
    },
    { rootMargin: "300px 0px" },
  );
  seen.set(element, notify);
  observer.observe(element);
  return () => {
    seen.delete(element);
    observer?.unobserve(element);
  };
}

/** Tells whether the element with the attachment `attach` is near the screen. */
export class OnScreen {
  near: boolean = $state(false);
  readonly attach = (element: Element): (() => void) => watch(element, (near) => (this.near = near));
}

const nothing: Presence = { online: null, lastSeen: null };

/** The presence of a user who is not near the screen. */
export const unknown: Readable<Presence> = {
  get: () => nothing,
  subscribe(run) {
    run(nothing);
    return () => undefined;
  },
};
