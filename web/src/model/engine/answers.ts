/**
 * Asks the server whether the user has answered in conversations that this device knows only from an event, because it
 * has not loaded the whole list. Otherwise an old friend far down in the list would be a stranger on a new device.
 */
import type { ListedConversation } from "../../net/archive";
import { applyListed } from "../store/history";
import { contextOf, type EngineParts } from "./ports";

export type AnswersParts = Pick<EngineParts, "platform" | "uid" | "store" | "time" | "archive">;

/** Conversations that become known at the same time share a call. */
const GATHER_MS = 50;
/** The most conversations of one call. */
const MAX_IDS = 20;
/** The most conversations that are asked for while a page is open. The others count as answered. */
const MAX_ASKED = 200;
/** After a failure, a conversation is asked for again at the earliest after this long. */
const PAUSE_MS = 60_000;

export class Answers {
  private readonly parts: AnswersParts;
  /** Ends when the server was asked for the conversation. */
  private readonly asked = new Map<string, Promise<void>>();
  private gathered: string[] = [];
  private gathering: Promise<void> | null = null;

  constructor(parts: AnswersParts) {
    this.parts = parts;
  }

  /** Resolves when the row of the conversation says whether the user has answered, or that cannot be learned now. */
  learn(id: string): Promise<void> {
    let known = this.asked.get(id);
    if (!known && this.asked.size >= MAX_ASKED) return Promise.resolve();
    if (!known) {
      this.gathered.push(id);
      known = this.gathering ??= new Promise((resolve) => {
        this.parts.platform.clock.after(GATHER_MS, () => resolve(this.ask()));
      });
      this.asked.set(id, known);
    }
    return known;
  }

  private async ask(): Promise<void> {
    const ids = this.gathered;
    this.gathered = [];
    this.gathering = null;
    const { archive, platform } = this.parts;
    try {
      for (let n = 0; n < ids.length; n += MAX_IDS) {
        const some = ids.slice(n, n + MAX_IDS);
        await this.keep(some, (await archive.conversations(null, { id: some })).items);
      }
    } catch (err) {
      // They count as answered meanwhile: a friend who is not noticed is worse than a stranger who is.
      platform.report("it could not be learned whether somebody is a stranger", err);
      platform.clock.after(PAUSE_MS, () => {
        for (const id of ids) this.asked.delete(id);
      });
    }
  }

  private async keep(ids: readonly string[], items: readonly ListedConversation[]): Promise<void> {
    // An earlier server lists all conversations.
    if (!items.every(({ id }) => ids.includes(id))) return;
    await this.parts.store.write(async (tx) => {
      for (const item of items) await applyListed(tx, contextOf(this.parts), item);
      for (const id of ids) {
        const row = await tx.conversation(id);
        // Nothing of it is saved yet, so the user has never written there.
        if (row && row.answered === undefined) await tx.putConversation({ ...row, answered: false });
      }
    });
  }
}
