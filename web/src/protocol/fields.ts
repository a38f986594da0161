/**
 * Reading values of unknown form. Whatever a server sends, the result is a
 * value of the promised type or a {@link Malformed}, never an undefined that
 * surfaces elsewhere.
 */

/** Something that is not in the promised form. */
export class Malformed extends Error {
  override readonly name = "Malformed";
}

/** A JSON object whose fields are read by name. */
export class Fields {
  private readonly what: string;
  private readonly values: Readonly<Record<string, unknown>>;

  /** Throws Malformed where `value` is no JSON object. */
  constructor(what: string, value: unknown) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new Malformed(`${what} is no object`);
    this.what = what;
    this.values = value as Readonly<Record<string, unknown>>;
  }

  private raw(name: string): unknown {
    return Object.hasOwn(this.values, name) ? this.values[name] : undefined;
  }

  private bad(name: string): Malformed {
    return new Malformed(`${this.what}: field "${name}" is missing or of the wrong kind`);
  }

  /** Whether the field is there and not null. */
  has(name: string): boolean {
    const v = this.raw(name);
    return v !== undefined && v !== null;
  }

  /** A text that is not empty. */
  text(name: string): string {
    const v = this.raw(name);
    if (typeof v !== "string" || v === "") throw this.bad(name);
    return v;
  }

  /** A text that may be empty, but not missing. */
  textOrEmpty(name: string): string {
    const v = this.raw(name);
    if (typeof v !== "string") throw this.bad(name);
    return v;
  }

  /** A text; `fallback` where it is missing. */
  optionalText(name: string, fallback = ""): string {
    return this.has(name) ? this.textOrEmpty(name) : fallback;
  }

  bool(name: string): boolean {
    const v = this.raw(name);
    if (typeof v !== "boolean") throw this.bad(name);
    return v;
  }

  optionalBool(name: string): boolean {
    return this.has(name) ? this.bool(name) : false;
  }

  /** An integer ≥ `min` that a number holds exactly. */
  integer(name: string, min = 0): number {
    const v = this.raw(name);
    if (typeof v !== "number" || !Number.isSafeInteger(v) || v < min) throw this.bad(name);
    return v;
  }

  /** An integer; null where it is missing or 0, which is how Go leaves a time out. */
  optionalInteger(name: string): number | null {
    if (!this.has(name)) return null;
    return this.integer(name) || null;
  }

  number(name: string): number {
    const v = this.raw(name);
    if (typeof v !== "number" || !Number.isFinite(v)) throw this.bad(name);
    return v;
  }

  object(name: string): Fields {
    return new Fields(`${this.what}.${name}`, this.raw(name));
  }

  list(name: string): readonly unknown[] {
    const v = this.raw(name);
    if (!Array.isArray(v)) throw this.bad(name);
    return v;
  }

  /** A list; empty where it is missing or null, which is how Go writes a nil slice. */
  optionalList(name: string): readonly unknown[] {
    return this.has(name) ? this.list(name) : [];
  }

  /** The fields by name, for maps. */
  entries(): readonly (readonly [string, unknown])[] {
    return Object.entries(this.values);
  }
}

/** Reads each entry of a list; what is malformed is left out and told to `dropped`. */
export function readEach<T>(
  list: readonly unknown[],
  read: (entry: unknown) => T,
  dropped?: (why: Malformed) => void,
): T[] {
  const out: T[] = [];
  for (const entry of list) {
    try {
      out.push(read(entry));
    } catch (err) {
      if (!(err instanceof Malformed)) throw err;
      dropped?.(err);
    }
  }
  return out;
}
