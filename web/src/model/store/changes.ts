/**
 * The effects of changes of messages (edits, deletions, reactions) on the store. Their sum is computed by
 * ../../protocol/changes, and stored in the row of the message. The user's own changes have rows too, until they are
 * delivered or refused, so that the message can be shown without them. This module is loaded when it is first needed.
 */
import {
  type Changes,
  changedBody,
  changesOf,
  includesChanges,
  mergeChanges,
  noChanges,
  readChange,
  readChanges,
} from "../../protocol/changes";
import type { Fields } from "../../protocol/fields";
import type { MessageRef } from "../../protocol/frames";
import type { OwnChange } from "../interface/conversation";
import type { ChangeRow, MessageRow } from "./rows";
import type { BaseRules, Changed, ChangeRules, RuleContext, WriteTx } from "./tx";

/** How long a deletion can be undone, in ms. The view shows the offer for as long (see changing.ts). */
const UNDO_MS = 5_000;
/** Changes are kept for at most this many messages that are not on this device. */
const MAX_KEPT = 500;

/** Returns the effect of a change alone. One that was not transmitted yet comes after all others. */
function effectOf(row: ChangeRow): Changes {
  return changesOf({ ...row, at: row.place });
}

function undoable(change: ChangeRow): boolean {
  return change.kind === "delete" && change.queue !== undefined && change.at === null;
}

type Settled = NonNullable<MessageRow["settled"]>;

function isSame(a: Settled, b: Settled): boolean {
  return a.body === b.body && a.waiting === b.waiting && a.undo === b.undo && isEqual(a.changes, b.changes);
}

function isEqual(a: Changes, b: Changes): boolean {
  return includesChanges(a, b) && includesChanges(b, a);
}

/** Whether no server can have the message, so that it can be changed in the outbox. */
function isHere(row: MessageRow): boolean {
  return row.status === "waiting" && row.at === null;
}

export class MessageChanges implements ChangeRules {
  private readonly base: BaseRules;

  constructor(base: BaseRules) {
    this.base = base;
  }

  async applyChange(tx: WriteTx, context: RuleContext, own: boolean, event: Fields): Promise<boolean> {
    const change = readChange(event);
    const { conversation: id, of } = change;
    const other = this.base.otherMember(id, context.uid);
    const [from, to] = own ? [context.uid, other] : [other, context.uid];
    if (other === null || change.from !== from || change.to !== to) return false;
    if (
      !this.base.validMessageId(change.id) ||
      !this.base.validMessageId(of.id) ||
      (of.from !== from && of.from !== to)
    )
      return false;
    const conversation = (await tx.conversation(id)) ?? this.base.emptyConversation(id, other);
    // An own change answers a request. Before, the server has not told the other user of the read mark.
    const unsent = own && conversation.answered === false && conversation.myRead > 0;
    if (unsent) tx.changes.toDo("read");
    // A message or change that this device makes comes after it.
    const newer = change.at > conversation.newest && change.at <= context.serverNow + this.base.MAX_AHEAD;
    if (newer || own)
      await tx.putConversation({
        ...conversation,
        ...(newer && { newest: change.at }),
        ...(own && { answered: true }),
        ...(unsent && { readShown: 0, readUnsent: context.now }),
      });
    const effect = changesOf(change);
    if (noChanges(effect)) return true;
    const key = this.base.messageKey(of);
    const row = await tx.message(id, key);
    if (own) {
      const known = await tx.change(change.id);
      const { at, kind, body, emoji } = change;
      const sent = {
        id: change.id,
        conversation: id,
        from: context.uid,
        to: other,
        of,
        path: this.base.messagePath(id, key),
        kind,
      };
      const content = { ...(body !== undefined && { body }), ...(emoji !== undefined && { emoji }) };
      if (known || !row || !includesChanges((row.settled ?? row).changes ?? {}, effect))
        await this.storeChange(tx, {
          ...sent,
          ...content,
          at,
          place: at,
          status: "sent",
          ...(known?.queue !== undefined && { queue: known.queue }),
        });
    }
    if (!row) await this.keep(tx, context, change, own ? {} : effect);
    else if (!own) {
      const next = await this.add(tx, row, effect);
      await this.show(tx, row, next);
      const [before, now] = [row, next].map(({ changes }) => changes?.reactions?.[other]?.emoji);
      if (next.from === context.uid && now !== undefined && now !== before) tx.added.push(next);
    }
    return true;
  }

  /** Keeps changes of a message that is not on this device until it arrives, and has it loaded. */
  private async keep(
    tx: WriteTx,
    context: RuleContext,
    { conversation, of }: Pick<ChangeRow, "conversation" | "of">,
    effect: Changes,
  ): Promise<void> {
    const key = `changed:${this.base.messagePath(conversation, this.base.messageKey(of))}`;
    const known = await tx.backfill(key);
    const changes = mergeChanges(known?.changes ?? {}, effect);
    if (known) {
      await tx.putBackfill({ ...known, changes });
      return;
    }
    const { id, at } = of;
    await this.base.noteBackfill(tx, context, {
      key,
      kind: "changed",
      conversation,
      id,
      at,
      deliveredAt: null,
      refusal: null,
      changes,
    });
    if ((await tx.countKept()) <= MAX_KEPT) return;
    const kept = (await tx.kept()).sort((a, b) => a.since - b.since || a.at - b.at);
    // Deletes a tenth more than needed, so that this seldom runs.
    for (const backfill of kept.slice(0, kept.length - MAX_KEPT * 0.9)) await tx.deleteBackfill(backfill.key);
  }

  async changesDelivered(tx: WriteTx, refs: readonly MessageRef[]): Promise<void> {
    for (const { id, at } of refs) {
      const change = await tx.change(id);
      if (!change) continue;
      await tx.deleteChange(change);
      const row = await this.messageOf(tx, change);
      const effect = changesOf({ ...change, at: change.at ?? at });
      if (row) await this.show(tx, row, await this.add(tx, row, effect));
    }
  }

  /**
   * Returns the message with what its sender and history say of it (`content`, `saved`), and what is kept here. Returns
   * the same `changes` and `settled` if they are unchanged.
   */
  async withChanges(tx: WriteTx, row: MessageRow, saved: Fields | undefined, content?: string): Promise<MessageRow> {
    const kept = await tx.backfill(`changed:${this.base.messagePath(row.conversation, row.key)}`);
    if (kept) await tx.deleteBackfill(kept.key);
    const known = saved === undefined ? {} : readChanges(saved);
    return await this.add(tx, row, mergeChanges(known, kept?.changes ?? {}), content);
  }

  /** Returns the message with `added`. The user's own changes that have no effect any more are dropped. */
  private async add(tx: WriteTx, row: MessageRow, added: Changes, content?: string): Promise<MessageRow> {
    const before = row.settled ?? row;
    const settled = mergeChanges(before.changes ?? {}, added);
    const body = changedBody(settled, content ?? before.body);
    const waiting: ChangeRow[] = [];
    for (const change of await tx.changesOf(this.base.messagePath(row.conversation, row.key))) {
      if (includesChanges(settled, effectOf(change))) await tx.deleteChange(change);
      else waiting.push(change);
    }
    const changes = waiting.map(effectOf).reduce(mergeChanges, settled);
    const { changes: oldChanges, settled: oldSettled, original: known, ...rest } = row;
    const original = content ?? known ?? before.body;
    const next = waiting.length > 0 && {
      body,
      changes: settled,
      waiting: waiting.some((change) => change.status === "waiting"),
      undo: waiting.some(undoable),
    };
    const same = oldSettled && next && isSame(oldSettled, next) ? oldSettled : next;
    return {
      ...rest,
      body: changedBody(changes, body),
      ...(!noChanges(changes) && { changes: oldChanges && isEqual(oldChanges, changes) ? oldChanges : changes }),
      ...(same && { settled: same }),
      ...(row.queue !== undefined && original !== body && { original }),
    };
  }

  /** Stores a message that has changed, and shows it in the list. */
  private async show(tx: WriteTx, old: MessageRow, row: MessageRow): Promise<void> {
    if (
      old.body === row.body &&
      old.changes === row.changes &&
      old.settled === row.settled &&
      old.unchanged === row.unchanged
    )
      return;
    await tx.putMessage(row);
    const conversation = await tx.conversation(row.conversation);
    const preview = conversation?.preview;
    if (preview && this.base.isPreview(conversation, row))
      await tx.putConversation({ ...conversation, preview: { ...preview, body: this.base.previewOf(row) } });
  }

  private messageOf(
    tx: WriteTx,
    { conversation, of }: Pick<ChangeRow, "conversation" | "of">,
  ): Promise<MessageRow | undefined> {
    return tx.message(conversation, this.base.messageKey(of));
  }

  async storeChange(tx: WriteTx, change: ChangeRow): Promise<void> {
    await tx.putChange(change);
    await this.showAgain(tx, await this.messageOf(tx, change));
  }

  private async showAgain(tx: WriteTx, row: MessageRow | undefined): Promise<void> {
    if (row) await this.show(tx, row, await this.add(tx, row, {}));
  }

  async freezeChange(tx: WriteTx, context: RuleContext, change: ChangeRow): Promise<ChangeRow> {
    const { conversation: id, to, of } = change;
    const conversation = (await tx.conversation(id)) ?? this.base.emptyConversation(id, to);
    const message = await this.messageOf(tx, change);
    const sent = { ...of, at: message?.at ?? of.at };
    const at = Math.max(context.serverNow, conversation.newest + 1, conversation.newestOwn + 1, sent.at + 1);
    const frozen = { ...change, of: sent, at, place: at };
    await tx.putConversation({ ...conversation, newestOwn: at });
    await this.storeChange(tx, frozen);
    return frozen;
  }

  async changeRefused(
    tx: WriteTx,
    change: ChangeRow,
    refusal: { readonly code: string; readonly message: string },
  ): Promise<void> {
    await tx.deleteChange(change);
    const row = await this.messageOf(tx, change);
    if (!row) return;
    const next = await this.add(tx, row, {});
    // Another device shows the reason of a change that was made there.
    await this.show(
      tx,
      row,
      change.queue === undefined ? next : { ...next, unchanged: { kind: change.kind, ...refusal } },
    );
  }

  async dropChanges(tx: WriteTx, { conversation, key }: MessageRow): Promise<void> {
    for (const change of await tx.changesOf(this.base.messagePath(conversation, key))) await tx.deleteChange(change);
    await this.showAgain(tx, await tx.message(conversation, key));
  }

  async makeChange(tx: WriteTx, context: RuleContext, what: Changed, change: OwnChange): Promise<void> {
    switch (change.kind) {
      case "edit":
        return await this.edit(tx, context, what, change.body);
      case "delete":
        return await this.remove(tx, context, what);
      case "undo":
        return await this.undoRemove(tx, what);
      case "react":
        return await this.react(tx, context, what, change.emoji);
      case "dismiss":
        return await this.dismiss(tx, what);
    }
  }

  private async edit(tx: WriteTx, context: RuleContext, what: Changed, body: string): Promise<void> {
    const row = await this.changeable(tx, context, what, true);
    if (!row) return;
    if (!isHere(row)) {
      if (row.body !== body) await this.make(tx, context, what, row, { kind: "edit", body });
      return;
    }
    await this.show(tx, row, { ...row, body });
  }

  private async remove(tx: WriteTx, context: RuleContext, what: Changed): Promise<void> {
    const row = await this.changeable(tx, context, what, true);
    if (!row) return;
    if (!isHere(row)) {
      await this.make(tx, context, what, row, { kind: "delete", notBefore: context.now + UNDO_MS });
      return;
    }
    await this.dropChanges(tx, row);
    await tx.deleteMessage(row);
    const conversation = await tx.conversation(row.conversation);
    if (conversation && this.base.isPreview(conversation, row))
      await tx.putConversation(await this.base.withNewestPreview(tx, conversation));
  }

  private async undoRemove(tx: WriteTx, { conversation, key }: Changed): Promise<void> {
    for (const change of await tx.changesOf(this.base.messagePath(conversation, key)))
      if (undoable(change)) await tx.deleteChange(change);
    await this.showAgain(tx, await tx.message(conversation, key));
  }

  private async react(tx: WriteTx, context: RuleContext, what: Changed, emoji: string): Promise<void> {
    const row = await this.changeable(tx, context, what, false);
    if (!row || (row.changes?.reactions?.[context.uid]?.emoji ?? "") === emoji) return;
    await this.make(tx, context, what, row, { kind: "react", ...(emoji !== "" && { emoji }) });
  }

  private async dismiss(tx: WriteTx, { conversation, key }: Changed): Promise<void> {
    const row = await tx.message(conversation, key);
    if (!row) return;
    const { unchanged: _, ...rest } = row;
    await this.show(tx, row, rest);
  }

  /** Returns the message, unless the user may not change it. */
  private async changeable(
    tx: WriteTx,
    context: RuleContext,
    { conversation, key }: Changed,
    ownOnly: boolean,
  ): Promise<MessageRow | null> {
    const row = await tx.message(conversation, key);
    if (!row || row.status === "refused" || row.changes?.deleted || (ownOnly && row.from !== context.uid)) return null;
    return row;
  }

  /** Puts a change into the outbox. It replaces one of the same kind that was not transmitted yet. */
  private async make(
    tx: WriteTx,
    context: RuleContext,
    { id, conversation, key }: Changed,
    row: MessageRow,
    content: Pick<ChangeRow, "kind" | "body" | "emoji" | "notBefore">,
  ): Promise<void> {
    const path = this.base.messagePath(conversation, key);
    for (const old of await tx.changesOf(path))
      if (old.kind === content.kind && old.queue !== undefined && old.at === null) await tx.deleteChange(old);
    const queue = await tx.nextQueue();
    const { unchanged: _, ...rest } = row;
    await tx.putMessage(rest);
    await this.storeChange(tx, {
      ...content,
      id,
      conversation,
      from: context.uid,
      to: this.base.otherMember(conversation, context.uid) ?? "",
      of: { id: row.id, from: row.from, at: row.at ?? 1 },
      path,
      at: null,
      place: this.base.WAITING + queue,
      status: "waiting",
      queue,
    });
    tx.changes.toDo("send");
  }
}
