/** Everything for one signed-in person in one tab: puts the parts together. */
import type { ArchiveApi, PublicPerson } from "../../net/archive";
import type { HttpApi } from "../../net/http";
import { ApiProblem } from "../../net/problem";
import type { OwnApi } from "../../net/own";
import { type EngineParts, here } from "../engine/ports";
import { History } from "../history";
import type { Outcome } from "../interface/outcome";
import type {
  Chat,
  ConnectionStatus,
  ConversationList,
  DirectorySearch,
  Me,
  Presence,
  ProfileChange,
  StorageState,
} from "../interface/chat";
import type { Person } from "../interface/person";
import type { AdminCalls } from "../interface/admin";
import type { Conversation } from "../interface/conversation";
import { derived, type Readable } from "../observable";
import { failed, outcome } from "../outcome";
import type { AccountStore } from "../store/account";
import { applyPerson } from "../store/history";
import type { Here } from "../store/rules";
import type { MessageRow } from "../store/rows";
import { Status } from "../tabs/status";
import { Team } from "../tabs/team";
import { OpenConversation } from "./conversation";
import { Directory, toPerson } from "./directory";
import { Conversations } from "./list";
import { People } from "./people";
import { OwnAccount } from "./profile";
import { Signs } from "./signs";

export interface ChatParts extends EngineParts {
  readonly email: string;
  readonly store: AccountStore;
  readonly http: HttpApi;
  readonly own: OwnApi;
  readonly archive: ArchiveApi;
}

export interface ChatHandlers {
  /** New messages of others, in one tab only. */
  onReceived(messages: readonly { row: MessageRow; name: string }[], hidden: boolean): void;
  /** The account may not connect any more. */
  onSignInEnded(reason: "ended" | "disabled" | "deleted"): void;
  /** This person wants to go; the account and its data are the session's. */
  signOut(): Promise<void>;
  leave(password: string): Promise<void>;
}

export class AccountChat implements Chat {
  readonly uid: string;
  readonly admin: Readable<AdminCalls | null>;
  private readonly parts: ChatParts;
  private readonly handlers: ChatHandlers;
  private readonly team: Team;
  private readonly status: Status;
  private readonly people: People;
  private readonly signs: Signs;
  private readonly list: Conversations;
  private readonly account: OwnAccount;
  private readonly history: History;
  private readonly open = new Set<OpenConversation>();
  private readonly ends: (() => void)[] = [];
  private readonly adminCalls: AdminCalls;

  constructor(parts: ChatParts, handlers: ChatHandlers) {
    this.parts = parts;
    this.handlers = handlers;
    this.uid = parts.uid;
    const now = (): Here => here(parts);
    const { platform, store, archive, time } = parts;
    this.history = new History({ store, archive, here: now });
    this.people = new People({ platform, store, archive, here: now });
    this.signs = new Signs(platform.clock, parts.limits, (uids) => this.team.watch(uids));
    this.team = new Team(parts, {
      onPresence: (uid, presence) => this.signs.seen(uid, presence),
      onTyping: (uid) => this.signs.types(uid),
      onReceived: (messages, hidden) => void this.received(messages, hidden),
      onSignInEnded: (reason) => handlers.onSignInEnded(reason),
    });
    this.status = new Status(platform.clock, this.team.connection);
    this.list = new Conversations({
      platform,
      uid: parts.uid,
      store,
      archive,
      time,
      people: this.people,
      signs: this.signs,
      here: now,
    });
    this.account = new OwnAccount({
      platform,
      uid: parts.uid,
      email: parts.email,
      store,
      own: parts.own,
      people: this.people,
    });
    // Refused although the profile said admin: it is asked again, and the panel closes.
    this.adminCalls = adminCalls(parts.http, () => void this.account.load());
    this.admin = derived(this.account.me, (me) => (me.admin ? this.adminCalls : null));
  }

  /** Connects, and begins to follow other tabs. */
  start(): void {
    const { store, platform } = this.parts;
    this.ends.push(
      store.onChange((change) => {
        for (const id of Object.keys(change.messages)) this.quiet(id, change.messages[id] ?? []);
        if (change.remote && (change.meta.includes("clock") || change.meta.includes("limits"))) void this.readServer();
      }),
      this.status.status.subscribe((status) => {
        if (status.state === "offline") {
          this.signs.forget();
          this.list.trouble(failed("offline").problem);
        } else if (status.state === "online") this.list.trouble(null);
      }),
    );
    void this.readServer();
    void platform.storage.persist();
    this.team.start();
    void this.account.load();
  }

  /** Ends all of it; what is stored stays. */
  stop(): void {
    for (const end of this.ends) end();
    for (const conversation of [...this.open]) conversation.close();
    this.team.stop();
    this.status.stop();
    this.people.stop();
    this.signs.stop();
    this.list.stop();
    this.account.stop();
  }

  get me(): Readable<Me> {
    return this.account.me;
  }

  get blocked(): Readable<readonly Person[] | null> {
    return this.account.blocked;
  }

  get connection(): Readable<ConnectionStatus> {
    return this.status.status;
  }

  get storage(): Readable<StorageState> {
    return this.parts.store.storage;
  }

  get clockOffset(): Readable<number> {
    return this.parts.time.offsets;
  }

  get bodyLimit(): Readable<number> {
    return this.parts.limits.body;
  }

  get conversations(): Readable<ConversationList> {
    return this.list.list;
  }

  get unreadTotal(): Readable<number> {
    return this.list.unread;
  }

  get waitingTotal(): Readable<number> {
    return this.list.waiting;
  }

  tryNow(): void {
    this.team.tryNow();
  }

  moreConversations(): void {
    void this.list.more();
  }

  directory(): DirectorySearch {
    const directory = new Directory(this.parts.platform.clock, this.parts.archive, (people) => void this.keep(people));
    directory.search("");
    return directory;
  }

  person(uid: string): Readable<Person> {
    return this.people.person(uid);
  }

  async personByUsername(username: string): Promise<Outcome<Person>> {
    const lower = username.toLowerCase();
    // Whom this device knows needs no network.
    const known = this.list.list.get().items.find((c) => c.person.username.toLowerCase() === lower)?.person;
    if (known) return { ok: true, value: known };
    return await outcome(async () => {
      const found = await this.parts.archive.personByUsername(username);
      if (!found) throw new ApiProblem(404, "not_found", "");
      await this.keep([found]);
      return toPerson(found);
    });
  }

  presence(uid: string): Readable<Presence> {
    return this.signs.presence(uid);
  }

  conversation(uid: string): Conversation {
    const conversation: OpenConversation = new OpenConversation(
      {
        platform: this.parts.platform,
        uid: this.uid,
        store: this.parts.store,
        history: this.history,
        time: this.parts.time,
        limits: this.parts.limits,
        people: this.people,
        signs: this.signs,
        here: () => here(this.parts),
        typing: (to) => this.team.typing(to),
      },
      uid,
      () => this.open.delete(conversation),
    );
    this.open.add(conversation);
    return conversation;
  }

  updateProfile(change: ProfileChange): Promise<Outcome> {
    return this.account.change(change);
  }

  block(uid: string): Promise<Outcome> {
    return this.account.block(uid, true);
  }

  unblock(uid: string): Promise<Outcome> {
    return this.account.block(uid, false);
  }

  exportData(): Promise<Outcome<Blob>> {
    return outcome(async () => new Blob([await this.parts.own.export()], { type: "application/json" }));
  }

  async signOut(options: { evenIfUnsent?: boolean } = {}): Promise<Outcome> {
    if (options.evenIfUnsent !== true) {
      const waiting = await this.parts.store.read((tx) => tx.outbox()).catch((): MessageRow[] => []);
      if (waiting.some((row) => row.status === "waiting")) return failed("unsent");
    }
    return await outcome(() => this.handlers.signOut());
  }

  leave(password: string): Promise<Outcome> {
    return outcome(() => this.handlers.leave(password));
  }

  private async keep(people: readonly PublicPerson[]): Promise<void> {
    try {
      await this.parts.store.write(async (tx) => {
        for (const person of people) await applyPerson(tx, here(this.parts), person);
      });
    } catch (err) {
      this.parts.platform.report("people could not be stored", err);
    }
  }

  /** A message came from somebody who was typing. */
  private quiet(conversation: string, ids: readonly string[]): void {
    const other = conversation.split("~").find((uid) => uid !== this.uid);
    if (other === undefined || !this.signs.typing(other).get()) return;
    void this.parts.store
      .read(async (tx) => Promise.all(ids.map((id) => tx.message(id))))
      .then((rows) => {
        if (rows.some((row) => row?.from === other)) this.signs.stopsTyping(other);
      })
      .catch(() => undefined);
  }

  private async received(messages: readonly MessageRow[], hidden: boolean): Promise<void> {
    const named = await Promise.all(
      messages.map(async (row) => {
        const person = await this.parts.store.read((tx) => tx.person(row.from)).catch(() => undefined);
        return { row, name: person?.displayName || person?.username || "" };
      }),
    );
    this.handlers.onReceived(named, hidden);
  }

  /** Reads what is known of the server's clock and limits, which only the tab with the socket hears. */
  private async readServer(): Promise<void> {
    const { store, time, limits } = this.parts;
    try {
      const known = await store.read(async (tx) => ({
        clock: await tx.meta("clock"),
        limits: await tx.meta("limits"),
      }));
      if (known.clock) time.setOffset(known.clock.offset);
      if (known.limits) limits.learn(known.limits.limits);
    } catch {
      // This device's own clock and this version's limits will do.
    }
  }
}

/** Makes {@link AdminCalls}; `onForbidden` hears when the server does not take this person for an admin. */
function adminCalls(http: HttpApi, onForbidden: () => void): AdminCalls {
  const usual = { timeoutMs: 5 * 60_000, claim: true };
  async function heard<T>(work: () => Promise<T>): Promise<Outcome<T>> {
    const got = await outcome(work);
    if (!got.ok && got.problem.code === "forbidden") onForbidden();
    return got;
  }
  return {
    call: (method, path, body) =>
      heard(() => http.json({ method, path: `admin${path}`, ...(body === undefined ? {} : { body }), ...usual })),
    download: (path) =>
      heard(async () => {
        const text = await http.text({ method: "GET", path: `admin${path}`, ...usual });
        // Spreadsheets take a file without this mark for one in an old encoding.
        return new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" });
      }),
  };
}
