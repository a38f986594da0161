/**
 * Observable values. They follow Svelte's store contract, so that `$value` works in a component, and need no framework.
 */

/** Ends a subscription. May be called more than once. */
export type Unsubscribe = () => void;

/** An observable value. */
export interface Readable<T> {
  /** Returns the current value. */
  get(): T;
  /**
   * Calls `run` at once with the value, and again after each change, until the returned function is called. `run` must
   * not throw.
   */
  subscribe(run: (value: T) => void): Unsubscribe;
}

/** A {@link Readable} that its owner can change. */
export class Value<T> implements Readable<T> {
  private current: T;
  private readonly listeners = new Set<(value: T) => void>();
  private readonly watched: ((watched: boolean) => void) | undefined;

  /** `watched` is called when the first listener subscribes and when the last one unsubscribes. */
  constructor(initial: T, watched?: (watched: boolean) => void) {
    this.current = initial;
    this.watched = watched;
  }

  get(): T {
    return this.current;
  }

  /** Replaces the value. Listeners are called unless it is the same value (`Object.is`). */
  set(value: T): void {
    if (Object.is(value, this.current)) return;
    this.current = value;
    // A listener may end its own or another subscription while it runs.
    for (const run of [...this.listeners]) if (this.listeners.has(run)) run(value);
  }

  update(change: (value: T) => T): void {
    this.set(change(this.current));
  }

  subscribe(run: (value: T) => void): Unsubscribe {
    // Wrapped, so that subscribing one function twice makes two subscriptions.
    const listener = (value: T): void => run(value);
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.watched?.(true);
    listener(this.current);
    return () => {
      if (this.listeners.delete(listener) && this.listeners.size === 0) this.watched?.(false);
    };
  }
}

/** A value computed from another one. It is computed only while there is a listener, and on each `get`. */
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
