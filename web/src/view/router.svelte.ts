import { type Place, href, parse } from "./places";

/**
 * The place that is shown, kept in step with the address. Links are plain
 * anchors: one listener turns clicks on those of this client into steps.
 */
/** How many steps of this client lie behind the place: whether "back" stays within it. Kept in the history, so that it survives a reload. */
function depth(): number {
  const state: unknown = history.state;
  return typeof state === "object" && state !== null && "depth" in state && typeof state.depth === "number"
    ? state.depth
    : 0;
}

class Router {
  place: Place = $state.raw(parse(location.pathname, location.search));

  constructor() {
    addEventListener("popstate", () => this.read());
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
    if (options.replace) history.replaceState(history.state, "", path);
    else history.pushState({ depth: depth() + 1 }, "", path);
    this.read();
  }

  /** One step back; where the client was opened at this very place, to `otherwise`. */
  back(otherwise: Place): void {
    if (depth() > 0) history.back();
    else this.go(otherwise, { replace: true });
  }

  private read(): void {
    this.place = parse(location.pathname, location.search);
  }
}

export const router = new Router();
