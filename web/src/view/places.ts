/**
 * Every place has one address, so that back, reload and bookmarks work. This file only reads and writes addresses.
 * router.svelte.ts keeps the place that is shown.
 */

export const adminTabs = ["people", "reports", "messages", "figures", "dead-letters", "audit"] as const;
export type AdminTab = (typeof adminTabs)[number];

export type Place =
  | { readonly name: "chats" }
  /** `person` is a username, or "~" and a uid if the username is not known. */
  | { readonly name: "chat"; readonly person: string }
  | { readonly name: "people" }
  | { readonly name: "settings" }
  | { readonly name: "admin"; readonly tab: AdminTab }
  /** `next` is the place to open once the user is signed in. "reset" asks for the address to mail a link to. */
  | { readonly name: "signin" | "signup" | "reset"; readonly next: string }
  /** The link of an email. Its `mode` and its `code` may be anything. */
  | { readonly name: "mail"; readonly mode: string; readonly code: string }
  | { readonly name: "nowhere" };

export function parse(path: string, search = ""): Place {
  const parts = path.split("/").filter((part) => part !== "");
  const [head, second] = parts;
  const query = new URLSearchParams(search);
  if (parts.length === 0) return { name: "chats" };
  if (parts.length === 1) {
    switch (head) {
      case "people":
      case "settings":
        return { name: head };
      case "admin":
        return { name: "admin", tab: "people" };
      case "mail":
        return { name: head, mode: query.get("mode") ?? "", code: query.get("oobCode") ?? "" };
      case "signin":
      case "signup":
      case "reset":
        return { name: head, next: within(query.get("next")) };
    }
  }
  if (parts.length === 2 && second !== undefined) {
    if (head === "c") {
      const person = decoded(second);
      if (person !== "") return { name: "chat", person };
    }
    const tab = adminTabs.find((t) => t === second);
    if (head === "admin" && tab) return { name: "admin", tab };
  }
  return { name: "nowhere" };
}

export function href(place: Place): string {
  switch (place.name) {
    case "chats":
    case "nowhere":
      return "/";
    case "chat":
      return `/c/${place.person.startsWith("~") ? "~" + encodeURIComponent(place.person.slice(1)) : encodeURIComponent(place.person)}`;
    case "admin":
      return place.tab === "people" ? "/admin" : `/admin/${place.tab}`;
    case "mail":
      return `/mail?${new URLSearchParams({ mode: place.mode, oobCode: place.code }).toString()}`;
    case "signin":
    case "signup":
    case "reset":
      return `/${place.name}${place.next === "/" ? "" : `?${new URLSearchParams({ next: place.next }).toString()}`}`;
    default:
      return `/${place.name}`;
  }
}

/** Returns the place of the conversation with a user. */
export function chatWith(person: { readonly uid: string; readonly username: string }): string {
  return href({ name: "chat", person: person.username === "" ? `~${person.uid}` : person.username });
}

/**
 * Returns the path to open after a sign-in: `next` if it is a path of this client, else "/". Only the address of People
 * keeps its query, which has what another app has shared.
 */
function within(next: string | null): string {
  if (next === null || !next.startsWith("/")) return "/";
  const url = URL.canParse(next, "http://here.invalid") ? new URL(next, "http://here.invalid") : null;
  if (!url || url.origin !== "http://here.invalid") return "/";
  const name = parse(url.pathname).name;
  return name === "nowhere" || name === "signin" || name === "signup" || name === "reset" || name === "mail"
    ? "/"
    : url.pathname + (name === "people" ? url.search : "");
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
