/**
 * The connection as the user sees it: `online`; `connecting` (a gap of less than 5 s, or the first connection: show
 * nothing); `offline` (a longer gap: one calm line with "Try now"); `replaced` (the user is connected in too many other
 * places, so this one stands aside for some minutes, until it is looked at again, or until {@link Chat.tryNow}).
 */
export type ConnectionStatus =
  | { readonly state: "online" }
  | { readonly state: "connecting" }
  | { readonly state: "replaced" }
  | {
      readonly state: "offline";
      readonly since: number;
      /**
       * When the next attempt starts. Null while one is running, and while the browser reports that there is no
       * network.
       */
      readonly nextTryAt: number | null;
    };
