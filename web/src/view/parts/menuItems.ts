export interface MenuItem {
  readonly label: string;
  /** The consequence, in a few words. */
  readonly what?: string;
  /** The path of an icon; see paths.ts and icons.ts. */
  readonly icon?: string;
  readonly danger?: boolean;
  /** The action cannot be chosen; `what` says why. */
  readonly disabled?: boolean;
  run(): void;
}

/** An action that is shown as a sign, beside others. */
export interface QuickItem {
  readonly sign: string;
  /** Whether it is in effect. */
  readonly chosen: boolean;
  readonly label: string;
  run(): void;
}
