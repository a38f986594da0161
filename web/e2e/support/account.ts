import { randomUUID } from "node:crypto";

/** Somebody with an account. */
export interface Account {
  readonly name: string;
  readonly username: string;
  readonly email: string;
  readonly password: string;
}

/** Details that nobody else in this run has. */
export function account(name: string): Account {
  const id = randomUUID().slice(0, 8);
  return {
    name: `${name} ${id}`,
    username: `${name.toLowerCase()}.${id}`,
    email: `${name.toLowerCase()}.${id}@example.org`,
    password: "warm embers at night",
  };
}
