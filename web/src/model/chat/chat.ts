/** The model of one signed-in user in one tab. It connects the parts with each other. */
import type { ArchiveApi, PublicUser } from "../../net/archive";
import type { EndReason } from "../../net/connection";
import type { HttpApi } from "../../net/http";
import { ApiProblem } from "../../net/problem";
import type { OwnApi } from "../../net/own";
import { loadCode } from "../../platform/code";
import { uuidv7 } from "../../protocol/uuid";
import type { Answers } from "../engine/answers";
import { contextOf, type EngineParts } from "../engine/ports";
import { History } from "../history";
import type { Outcome } from "../interface/outcome";
import type { Chat, ChatLimits, Me, Presence, ProfileChange } from "../interface/chat";
import type { ConnectionStatus } from "../interface/connection";
import type { ConversationList } from "../interface/lists";
import type { StorageState } from "../interface/storage";
import type { LateParts, LateRules } from "../interface/late";
import type { User } from "../interface/user";
import type { AdminCalls } from "../interface/admin";
import type { Conversation } from "../interface/conversation";
import { derived, type Readable } from "../observable";
import { failed, outcome } from "../outcome";
import { databaseName, type LocalStore } from "../store/store";
import { applyUser } from "../store/history";
import { moveMyRead } from "../store/readMarks";
import { applySaved, type RuleContext } from "../store/rules";
import { choose, settingKey } from "../store/settings";
import type { MessageRow } from "../store/rows";
import { Status } from "../tabs/status";
import { TabLeader } from "../tabs/leader";
import { OpenConversation } from "./conversation";
import { Conversations } from "./conversationList";
import { Users, userOf } from "./users";
import { ProfileKeeper } from "./profile";
import { PresenceTracker } from "./presence";

export interface ChatParts extends EngineParts {
  readonly email: string;
  readonly store: LocalStore;
  readonly http: HttpApi;
  readonly own: OwnApi;
  readonly archive: ArchiveApi;
}

export interface ChatHandlers {
  /** Reports new messages of others, and own ones to which the other user has just reacted, in one tab only. */
  onReceived(messages: readonly { row: MessageRow; name: string }[], hidden: boolean): void;
  /** The account may not connect any more. */
  onSignInEnded(reason: EndReason): void;
  /** The user wants to sign out, or to delete the account. The session owns the account and its data. */
  signOut(): Promise<void>;
  /** See {@link LateParts}. `renewed` is called when tokens of the new sign-in are available. */
  confirm(password: string, code: string | undefined, renewed: () => void): Promise<void>;
  renew(replace: () => Promise<string | null>, renewed: () => void): Promise<void>;
  leave(password: string, code?: string): Promise<void>;
}

export class ChatModel implements Chat {
  readonly uid: string;
  readonly admin: Readable<AdminCalls | null>;
  readonly late: LateParts;
  private readonly parts: ChatParts;
  private readonly handlers: ChatHandlers;
  private readonly leader: TabLeader;
  private readonly status: Status;
  private readonly users: Users;
  private readonly presences: PresenceTracker;
  private readonly list: Conversations;
  private readonly profile: ProfileKeeper;
  private readonly history: History;
  private readonly open = new Set<OpenConversation>();
  private readonly ends: (() => void)[] = [];
  private answers: Answers | null = null;

  constructor(parts: ChatParts, handlers: ChatHandlers) {
    this.parts = parts;
    this.handlers = handlers;
    this.uid = parts.uid;
    const now = (): RuleContext => contextOf(parts);
    const { platform, store, archive, time } = parts;
    this.history = new History({ store, archive, context: now });
    this.users = new Users({ platform, store, archive, context: now });
    this.presences = new PresenceTracker(platform.clock, parts.limits, (uids) => this.leader.watch(uids));
    this.leader = new TabLeader(parts, {
      onPresence: (uid, presence) => this.presences.setPresence(uid, presence),
      onProfile: (uid) =>
        uid === this.uid ? void this.profile.load() : this.users.changed(uid, platform.page.focused()),
      onTyping: (uid) => this.presences.noteTyping(uid),
      onReceived: (messages, hidden) => void this.received(messages, hidden),
      onSignInEnded: (reason) => handlers.onSignInEnded(reason),
    });
    this.status = new Status(platform.clock, this.leader.connection);
    this.list = new Conversations({
      platform,
      uid: parts.uid,
      store,
      archive,
      time,
      users: this.users,
      presences: this.presences,
      context: now,
      onUnsure: (id) => void this.learn(id),
    });
    this.profile = new ProfileKeeper({
      platform,
      uid: parts.uid,
      email: parts.email,
      store,
      own: parts.own,
      users: this.users,
    });
    const load = async (): Promise<Omit<AdminCalls, "confirm">> =>
      (await loadCode(() => import("../admin/calls"))).adminCalls(parts.http, {
        // The profile said admin. Loading it again closes the panel.
        onForbidden: () => void this.profile.load(),
      });
    const loaded = async <T>(run: (calls: Omit<AdminCalls, "confirm">) => Promise<Outcome<T>>): Promise<Outcome<T>> => {
      const calls = await outcome(load);
      return calls.ok ? await run(calls.value) : calls;
    };
    const adminCalls: AdminCalls = {
      call: (...call) => loaded((calls) => calls.call(...call)),
      confirm: (...proof) => this.late.confirm(...proof),
      download: (path) => loaded((calls) => calls.download(path)),
    };
    const renewed = (): void => this.leader.renewToken();
    this.late = {
      ...parts,
      database: databaseName(parts.uid),
      tabs: this.leader,
      presences: this.presences,
      history: this.history,
      conversations: this.list.list,
      connection: this.connection,
      userOf,
      found: (users) => void this.keep(users),
      confirm: (password, code) => outcome(() => handlers.confirm(password, code, renewed)),
      renew: (replace) => outcome(() => handlers.renew(replace, renewed)),
      reload: () => this.profile.load(),
      moreConversations: () => this.list.more(),
      change: (run) => outcome(() => store.write((tx) => run(tx, this.rules))),
      onStop: (run) => this.ends.push(run),
    };
    this.admin = derived(this.profile.me, (me) => (me.admin ? adminCalls : null));
  }

  /** Connects, and starts to follow other tabs. */
  start(): void {
    const { store, platform } = this.parts;
    this.ends.push(
      store.onChange((change) => {
        for (const id of Object.keys(change.messages)) this.endTypingOf(id, change.messages[id] ?? []);
        if (change.remote && (change.meta.includes("clock") || change.meta.includes("limits")))
          void this.readServer(true);
      }),
      this.status.status.subscribe((status) => {
        if (status.state === "offline" || status.state === "replaced") {
          this.presences.markUnknown();
          this.list.setProblem(failed("offline").problem);
        } else if (status.state === "online") this.list.setProblem(null);
      }),
    );
    this.ends.push(
      platform.page.onFocused(() => {
        if (platform.page.focused()) for (const uid of this.presences.shown) this.users.show(uid);
      }),
    );
    this.ends.push(
      this.profile.blocked.subscribe((users) => {
        const uids = (users ?? []).map((u) => u.uid);
        this.presences.hide(uids);
        this.list.hide(uids);
      }),
    );
    void this.readServer(false);
    void platform.storage.persist();
    this.leader.start();
    void this.profile.load();
  }

  /** Stops everything. Stored data stays. */
  stop(): void {
    for (const end of this.ends) end();
    for (const conversation of [...this.open]) conversation.close();
    this.leader.stop();
    this.status.stop();
    this.users.stop();
    this.presences.stop();
    this.list.stop();
    this.profile.stop();
  }

  get me(): Readable<Me> {
    return this.profile.me;
  }

  get blocked(): Readable<readonly User[] | null> {
    return this.profile.blocked;
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

  get limits(): Readable<ChatLimits> {
    return this.parts.limits.all;
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
    this.leader.tryNow();
  }

  moreConversations(): void {
    void this.list.more();
  }

  user(uid: string): Readable<User> {
    return this.users.user(uid);
  }

  async userByUsername(username: string): Promise<Outcome<User>> {
    const lower = username.toLowerCase();
    // A user that is in the list needs no request.
    const known = this.list.list.get().all.find((c) => c.user.username.toLowerCase() === lower)?.user;
    if (known) return { ok: true, value: known };
    return await outcome(async () => {
      const found = await this.parts.archive.userByUsername(username);
      if (!found) throw new ApiProblem(404, "not_found", "");
      await this.keep([found]);
      return userOf(found.uid, found);
    });
  }

  presence(uid: string): Readable<Presence> {
    this.users.show(uid);
    return this.presences.presence(uid);
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
        users: this.users,
        presences: this.presences,
        context: () => contextOf(this.parts),
        typing: (to) => this.leader.typing(to),
      },
      uid,
      () => this.open.delete(conversation),
    );
    this.open.add(conversation);
    return conversation;
  }

  updateProfile(change: ProfileChange): Promise<Outcome> {
    return this.profile.change(change);
  }

  block(uid: string): Promise<Outcome> {
    return this.profile.block(uid, true);
  }

  unblock(uid: string): Promise<Outcome> {
    return this.profile.block(uid, false);
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

  leave(password: string, code?: string): Promise<Outcome> {
    return outcome(() => this.handlers.leave(password, code));
  }

  private async keep(users: readonly PublicUser[]): Promise<void> {
    try {
      await this.parts.store.write(async (tx) => {
        for (const user of users) await applyUser(tx, contextOf(this.parts), user);
      });
    } catch (err) {
      this.parts.platform.report("users could not be stored", err);
    }
  }

  /** A new message from a user ends the typing hint of that user. */
  private endTypingOf(conversation: string, keys: readonly string[]): void {
    const other = conversation.split("~").find((uid) => uid !== this.uid);
    if (other === undefined || !this.presences.typing(other).get()) return;
    void this.parts.store
      .read(async (tx) => Promise.all(keys.map((key) => tx.message(conversation, key))))
      .then((rows) => {
        if (rows.some((row) => row?.from === other)) this.presences.stopTyping(other);
      })
      .catch(() => undefined);
  }

  private get rules(): LateRules {
    const { platform } = this.parts;
    return {
      moveMyRead: (tx, row, at) => moveMyRead(tx, row, at, platform.clock.now()),
      save: async (tx, message) => void (await applySaved(tx, contextOf(this.parts), message)),
      choose: (tx, subject, value) =>
        choose(tx, contextOf(this.parts), uuidv7(platform.clock.now(), platform.random.bytes(10)), subject, value),
    };
  }

  /** Learns whether the user has answered in a conversation. Its code is loaded with the first one. */
  private async learn(id: string): Promise<void> {
    try {
      const { Answers } = await loadCode(() => import("../engine/settings"));
      this.answers ??= new Answers(this.parts);
      await this.answers.learn(id);
    } catch {
      // It counts as answered.
    }
  }

  /** `sure`: whatever can be learned about strangers is known. */
  private async received(messages: readonly MessageRow[], hidden: boolean, sure = false): Promise<void> {
    const names = new Map<string, string>();
    const otherOf = (row: MessageRow): string => (row.from === this.uid ? row.to : row.from);
    let rows = messages;
    const unsure: string[] = [];
    try {
      // In one transaction, because thousands of messages may arrive at once.
      await this.parts.store.read(async (tx) => {
        // A message may have been changed before anybody saw it.
        const found = await Promise.all(messages.map((row) => tx.message(row.conversation, row.key)));
        rows = found.filter((row) => row !== undefined && !row.changes?.deleted) as MessageRow[];
        const now = this.parts.time.now();
        for (const conversation of new Set(rows.map((row) => row.conversation))) {
          const mute = await tx.setting(settingKey({ kind: "mute", conversation, message: "" }));
          const { answered } = (await tx.conversation(conversation)) ?? {};
          if (answered === undefined) unsure.push(conversation);
          if ((mute && mute.value > now) || answered === false)
            rows = rows.filter((row) => row.conversation !== conversation);
        }
        for (const uid of new Set(messages.map(otherOf))) {
          const user = await tx.user(uid);
          names.set(uid, user?.displayName || user?.username || "");
        }
      });
    } catch (err) {
      this.parts.platform.report("the names of senders could not be read", err);
    }
    if (!sure && unsure.length > 0) {
      await Promise.all(unsure.map((id) => this.learn(id)));
      await this.received(messages, hidden, true);
      return;
    }
    const named = rows.map((row) => ({ row, name: names.get(otherOf(row)) ?? "" }));
    this.handlers.onReceived(named, hidden);
  }

  /**
   * Reads the server's clock offset and limits from the store. Only the tab with the socket receives them. `learned`:
   * another tab has just stored them.
   */
  private async readServer(learned: boolean): Promise<void> {
    const { store, time, limits } = this.parts;
    try {
      const known = await store.read(async (tx) => ({
        clock: await tx.meta("clock"),
        limits: await tx.meta("limits"),
      }));
      if (known.clock && learned) time.learnOffset(known.clock.offset);
      else if (known.clock) time.rememberOffset(known.clock.offset);
      if (known.limits) limits.learn(known.limits.limits);
    } catch {
      // This device's own clock and the built-in limits will do.
    }
  }
}
