import type { Outcome } from "../../model";
import { sendVerification, verificationPause } from "../../model/mail";

type Parts = Parameters<typeof sendVerification>[0];

/** The button that sends the email once more, which then waits for a minute. */
export class Resend {
  private readonly parts: Parts;
  busy = $state(false);
  /** The button cannot be used now. */
  paused = $state(false);

  constructor(parts: Parts) {
    this.parts = parts;
  }

  /** Follows the pause. Returns a function that ends that. For an effect. */
  follow(createdAt: number | null): () => void {
    let cancel: () => void = () => undefined;
    const look = (): void => {
      const wait = verificationPause(this.parts, createdAt);
      this.paused = wait > 0;
      if (wait > 0) cancel = this.parts.platform.clock.after(wait, look);
    };
    look();
    return () => cancel();
  }

  /** Sends the email. Null: it is being sent already, or it is too early. */
  async send(): Promise<Outcome | null> {
    if (this.busy || this.paused) return null;
    this.busy = true;
    const outcome = await sendVerification(this.parts);
    this.busy = false;
    return outcome;
  }
}
