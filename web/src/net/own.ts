/** `/me`: the signed-in user's own data. */
import { Fields } from "../protocol/fields";
import type { HttpApi } from "./http";

export interface OwnProfile {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
  readonly email: string;
  readonly admin: boolean;
  /** See PublicUser. */
  readonly picture?: string;
  /** In ms. */
  readonly createdAt: number | null;
  /** The id of the last device where the user has signed in since they did so here. Empty if there is none. */
  readonly newestDevice?: string;
  /** The email address is not verified yet. */
  readonly unverified?: boolean;
  /** An operator has warned the user, who has not confirmed it yet. */
  readonly warned?: boolean;
  /** uids. */
  readonly blocked: readonly string[];
}

/** Deletions process everything that the user ever wrote. */
const LONG_MS = 5 * 60_000;
/** The server sends a large export slowly, within 55 min. */
const EXPORT_MS = 60 * 60_000;

export class OwnApi {
  private readonly http: HttpApi;

  constructor(http: HttpApi) {
    this.http = http;
  }

  profile(): Promise<OwnProfile> {
    return this.http.read({ method: "GET", path: "me" }, readOwn);
  }

  change(change: { username?: string; displayName?: string }): Promise<OwnProfile> {
    const body = {
      ...(change.username === undefined ? {} : { username: change.username.trim() }),
      ...(change.displayName === undefined ? {} : { display_name: change.displayName.trim() }),
    };
    return this.http.read({ method: "PATCH", path: "me", body }, readOwn);
  }

  block(uid: string, blocked: boolean): Promise<OwnProfile> {
    return this.http.read(
      { method: blocked ? "PUT" : "DELETE", path: `me/blocked/${encodeURIComponent(uid)}` },
      readOwn,
    );
  }

  /** Returns all of the user's data as the text of a JSON file. */
  export(): Promise<string> {
    return this.http.text({ method: "GET", path: "me/export", timeoutMs: EXPORT_MS });
  }

  /** Ends this sign-in on the server, or the one that `token` belongs to: its tokens and its sockets. */
  async signOut(token?: string): Promise<void> {
    await this.http.text({ method: "POST", path: "me/sign-out", ...(token === undefined ? {} : { token }) });
  }

  /** Joins the present sign-in to the device of the one that `token` belongs to. The first call with the new sign-in. */
  async renewSignIn(token: string): Promise<void> {
    await this.http.text({ method: "POST", path: "me/sign-in", body: { replaces: token } });
  }

  /** Deletes the account. Needs a sign-in within the last minutes. */
  async leave(): Promise<void> {
    await this.http.text({ method: "DELETE", path: "me", timeoutMs: LONG_MS });
  }
}

function readOwn(value: unknown): OwnProfile {
  const f = new Fields("profile", value);
  const createdAt = f.optionalInteger("created_at");
  return {
    uid: f.text("uid"),
    username: f.optionalText("username"),
    displayName: f.optionalText("display_name"),
    email: f.optionalText("email"),
    admin: f.optionalBool("admin"),
    picture: f.optionalText("picture"),
    newestDevice: f.has("newest_device") ? f.object("newest_device").text("id") : "",
    // An earlier server does not say it.
    unverified: f.has("email_verified") && !f.bool("email_verified"),
    warned: f.has("warning"),
    createdAt: createdAt && Math.round(createdAt / 1000),
    blocked: f.optionalList("blocked").filter((uid) => typeof uid === "string"),
  };
}
