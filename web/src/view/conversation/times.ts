import type { Message } from "../../model";
import { text } from "../../text";
import { format } from "../format";
import { clock } from "../media.svelte";

/** Says when a message was sent that had been written long before, for example offline. Else empty. */
export function acceptedLate(message: Message): string {
  return message.acceptedTime === null ? "" : text.conversation.acceptedAt(format.ago(message.acceptedTime, clock.now));
}
