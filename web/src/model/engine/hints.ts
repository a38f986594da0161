/** Presence, typing hints, and whether the user looks at this device. Losing one does no harm. */
import type { Link } from "../../net/link";
import type { ServerFrame } from "../../protocol/frames";
import { validUid } from "../../protocol/chat";
import type { Cancel } from "../../platform/platform";
import type { Presence } from "../interface/chat";
import type { EngineParts } from "./ports";

/** Scrolling changes the wanted users often. The list is sent after it has been stable for this long. */
const DEBOUNCE_MS = 200;
/** The most users that all tabs together may want. Anything beyond that would be cut off later. */
const MAX_WANTED = 1_000;
/** A typing hint is not sent later than this. */
const TYPING_LASTS_MS = 3_000;

export interface HintHandlers {
  onPresence(uid: string, presence: Presence): void;
  /** The profile of a user, or the own one, has changed. */
  onProfile(uid: string): void;
  onTyping(uid: string): void;
}

export class Hints {
  private readonly parts: EngineParts;
  private readonly handlers: HintHandlers;
  private link: Link | null = null;
  private wanted: readonly string[] = [];
  private watched = "";
  private timer: Cancel | null = null;
  /** A hint made while there was no link. It is sent on the next one if that comes soon. */
  private typingTo: { readonly to: string; readonly at: number } | null = null;
  private looking = false;
  /** What the last hello said about that. */
  private greeted = false;

  constructor(parts: EngineParts, handlers: HintHandlers) {
    this.parts = parts;
    this.handlers = handlers;
  }

  attach(link: Link): void {
    this.link = link;
    this.watched = "";
    this.sendWatch();
    if (this.looking !== this.greeted) this.sendLooking();
    const typed = this.typingTo;
    this.typingTo = null;
    if (typed && this.parts.platform.clock.monotonic() - typed.at < TYPING_LASTS_MS) this.typing(typed.to);
  }

  detach(link: Link): void {
    if (this.link === link) this.link = null;
  }

  stop(): void {
    this.link = null;
    this.timer?.();
  }

  /** Sets the users whose presence to report, the most wanted first. Users beyond the server's limit are left out. */
  watch(uids: readonly string[]): void {
    this.wanted = uids.filter(validUid).slice(0, MAX_WANTED);
    this.timer ??= this.parts.platform.clock.after(DEBOUNCE_MS, () => {
      this.timer = null;
      this.sendWatch();
    });
  }

  typing(to: string): void {
    if (this.link) this.link.send({ type: "typing", to });
    else this.typingTo = { to, at: this.parts.platform.clock.monotonic() };
  }

  /** Reports that the user begins to look at this device, or stops. */
  look(looking: boolean): void {
    if (looking === this.looking) return;
    this.looking = looking;
    this.sendLooking();
  }

  /** Returns what hello says about {@link look}. The link that it opens is attached later. */
  greet(): boolean {
    return (this.greeted = this.looking);
  }

  /** Handles a frame if it is a hint. */
  handle(frame: ServerFrame): void {
    if (frame.type === "typing") this.handlers.onTyping(frame.from);
    else if (frame.type === "profile") this.handlers.onProfile(frame.user);
    else if (frame.type === "presence") {
      this.handlers.onPresence(frame.user, {
        online: frame.online,
        lastSeen: frame.last_seen === null ? null : Math.round(frame.last_seen / 1000),
      });
    }
  }

  private sendLooking(): void {
    this.link?.send({ type: "looking", looking: this.looking });
  }

  private sendWatch(): void {
    const users = [...new Set(this.wanted)].slice(0, this.parts.limits.watch).sort();
    const list = users.join(" ");
    if (!this.link || list === this.watched) return;
    this.watched = list;
    this.link.send({ type: "watch", users });
  }
}
