/**
 * Values that change, told to whoever listens. They follow Svelte's store
 * contract, so that `$value` works in a component, and need no framework.
 */

/** Ends a subscription. May be called more than once. */
export type Unsubscribe = () => void;

/** A value that changes. */
export interface Readable<T> {
  /** The value now. */
  get(): T;
  /**
   * Calls `run` at once with the value, and again after each change, until the
   * returned function is called. `run` must not throw.
   */
  subscribe(run: (value: T) => void): Unsubscribe;
}

/** A {@link Readable} that its owner can change. */
export class Value<T> implements Readable<T> {
  private current: T;
  private readonly listeners = new Set<(value: T) => void>();
  private readonly watched: ((watched: boolean) => void) | undefined;

  /** `watched` is told when the first listener comes and when the last one goes. */
  constructor(initial: T, watched?: (watched: boolean) => void) {
    this.current = initial;
    this.watched = watched;
  }

  get(): T {
    return this.current;
  }

  /** Replaces the value. Listeners hear of it unless it is the same (`Object.is`). */
  set(value: T): void {
    if (Object.is(value, this.current)) return;
    this.current = value;
    // A listener may end its own or another's subscription while it runs.
    for (const run of [...this.listeners]) if (this.listeners.has(run)) run(value);
  }

  update(change: (value: T) => T): void {
    this.set(change(this.current));
  }

  subscribe(run: (value: T) => void): Unsubscribe {
    // Two subscriptions of one function are two subscriptions.
    const listener = (value: T): void => run(value);
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.watched?.(true);
    listener(this.current);
    return () => {
      if (this.listeners.delete(listener) && this.listeners.size === 0) this.watched?.(false);
    };
  }
}

/** A value computed from another one, computed anew only while somebody listens or asks. */
export function derived<A, T>(source: Readable<A>, compute: (value: A) => T): Readable<T> {
  return {
    get: () => compute(source.get()),
    subscribe(run) {
      let first = true;
      let last: T;
      return source.subscribe((value) => {
        const next = compute(value);
        if (!first && Object.is(next, last)) return;
        first = false;
        last = next;
        run(next);
      });
    },
  };
}
