import { type Place, href, parse } from "./places";

/** The state that the history stores with the address of a place, so that it survives a reload. */
interface Kept {
  /**
   * The number of steps within this client that precede the place. It tells whether "back" stays within the client.
   */
  readonly depth?: number;
  /** Whether People is shown beside a conversation, instead of the chats. */
  readonly people?: boolean;
  /** The number of dialogs, sheets and menus over the place; see parts/layers.ts. */
  readonly layers?: number;
}

function kept(): Kept {
  return (history.state as Kept | null) ?? {};
}

/**
 * The place that is shown, kept in step with the address. Links are plain anchors. One listener handles clicks on those
 * that stay within this client.
 */
class Router {
  place: Place = $state.raw(parse(location.pathname, location.search));
  /** The element that had the focus when the place was left for this one, or has received it without the user. */
  focusFrom: Element | null = null;

  constructor() {
    addEventListener("popstate", () => this.read());
    // A page that is reloaded shows none of its layers.
    const { layers } = kept();
    if (layers) history.go(-layers);
    document.addEventListener("click", (event) => {
      if (
        event.defaultPrevented ||
        event.button !== 0 ||
        event.metaKey ||
        event.ctrlKey ||
        event.shiftKey ||
        event.altKey
      )
        return;
      const anchor = event.target instanceof Element ? event.target.closest("a") : null;
      if (!anchor || anchor.target !== "" || anchor.hasAttribute("download") || anchor.origin !== location.origin)
        return;
      if (parse(anchor.pathname).name === "nowhere") return;
      if (anchor.hash !== "" && anchor.pathname === location.pathname) return;
      event.preventDefault();
      this.go(anchor.pathname + anchor.search);
    });
  }

  /** Shows the place at `to`, a path of this client. */
  go(to: string | Place, options: { replace?: boolean } = {}): void {
    const path = typeof to === "string" ? to : href(to);
    if (path === location.pathname + location.search) return;
    const { depth = 0, people } = kept();
    if (options.replace) history.replaceState({ depth, people }, "", path);
    else history.pushState({ depth: depth + 1, people }, "", path);
    this.read();
  }

  /** Goes one step back, or to `otherwise` if the client was opened at this place. */
  back(otherwise: Place): void {
    if (kept().depth) history.back();
    else this.go(otherwise, { replace: true });
  }

  /** Whether the list beside a conversation is that of people. */
  get besidePeople(): boolean {
    return kept().people === true;
  }

  set besidePeople(people: boolean) {
    history.replaceState({ ...kept(), people }, "");
  }

  /** Whether the user has moved the focus to the list since the place was shown. What appears leaves it there. */
  get focusMoved(): boolean {
    const { activeElement } = document;
    return activeElement !== this.focusFrom && !!activeElement?.closest("#side");
  }

  private read(): void {
    this.focusFrom = document.activeElement;
    this.place = parse(location.pathname, location.search);
  }
}

export const router = new Router();
