/**
 * /config.json: the addresses of the parts of this chat. The last loaded configuration is kept, so that the app starts
 * without a network.
 */
import { Fields, Malformed } from "../protocol/fields";
import { NetworkError, type Platform } from "../platform/platform";
import type { IdentityConfig } from "./identity";
import { ApiProblem } from "./problem";

export interface Config {
  /** Absolute base address of the HTTP functions. */
  readonly apiBase: string;
  readonly realtimeUrl: string;
  /** The origins whose pages may use this chat. Null: the server does not say. */
  readonly origins: readonly string[] | null;
  readonly identity: IdentityConfig;
}

/** The note that has the last configuration. */
export const CONFIG_NOTE = "phoenix.config";
const TIMEOUT_MS = 10_000;
/** Requests to load the configuration again are ignored for this long after a load. */
const RELOAD_MS = 60_000;

export class ConfigSource {
  private readonly platform: Platform;
  private readonly onLoaded: (config: Config) => void;
  private known: Config | null;
  private loading: Promise<Config> | null = null;
  private loadedAt = Number.NEGATIVE_INFINITY;

  /** `onLoaded` is called with each configuration that the server sends. */
  constructor(platform: Platform, onLoaded: (config: Config) => void = () => undefined) {
    this.platform = platform;
    this.onLoaded = onLoaded;
    this.known = parse(platform.notes.get(CONFIG_NOTE) ?? "", platform.page.origin);
  }

  /**
   * Returns the known configuration at once, or loads it. A kept one is updated in the background for the next call.
   * Rejects with ApiProblem.
   */
  async get(): Promise<Config> {
    if (this.known) {
      if (this.loadedAt === Number.NEGATIVE_INFINITY) void this.load().catch(() => undefined);
      return this.known;
    }
    return await this.load();
  }

  /** Loads the configuration again in the background, because the known one may be out of date. */
  renew(): void {
    if (Math.abs(this.platform.clock.now() - this.loadedAt) >= RELOAD_MS) void this.load().catch(() => undefined);
  }

  private load(): Promise<Config> {
    this.loading ??= this.fetch().finally(() => {
      this.loading = null;
    });
    return this.loading;
  }

  private async fetch(): Promise<Config> {
    const { http, page, notes } = this.platform;
    let answer;
    try {
      answer = await http.request({
        method: "GET",
        url: new URL("/config.json", page.origin).href,
        headers: {},
        body: null,
        timeoutMs: TIMEOUT_MS,
      });
    } catch (err) {
      if (err instanceof NetworkError) {
        throw new ApiProblem(0, "offline", "", { cause: err });
      }
      throw err;
    }
    const config = answer.status === 200 ? parse(answer.body, page.origin) : null;
    if (!config) throw new ApiProblem(503, "unavailable", "");
    this.known = config;
    this.loadedAt = this.platform.clock.now();
    notes.set(CONFIG_NOTE, answer.body);
    this.onLoaded(config);
    return config;
  }
}

/** Returns the address of this chat if a page at `origin` may not use it, and null if it may. */
export function foreignTo(config: Config, origin: string): string | null {
  const [first] = config.origins ?? [];
  return first === undefined || config.origins?.includes(new URL(origin).origin) ? null : first;
}

/** Returns null if the text is not a valid configuration. */
function parse(text: string, origin: string): Config | null {
  try {
    const f = new Fields("config", JSON.parse(text) as unknown);
    return {
      apiBase: new URL(f.text("api_base"), origin).href,
      realtimeUrl: new URL(f.text("realtime_url"), origin).href.replace(/^http/, "ws"),
      origins: f.has("origins") ? f.list("origins").map((entry) => new URL(String(entry)).origin) : null,
      identity: {
        apiKey: f.object("firebase").text("apiKey"),
        emulatorUrl: f.optionalText("auth_emulator_url") || null,
      },
    };
  } catch (err) {
    if (err instanceof Malformed || err instanceof SyntaxError || err instanceof TypeError) return null;
    throw err;
  }
}
