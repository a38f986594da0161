import { randomUUID } from "node:crypto";

/** A user of the chat, with the credentials of their account. */
export interface User {
  readonly name: string;
  readonly username: string;
  readonly email: string;
  readonly password: string;
}

/** Returns the details of a user who does not exist yet. They differ from those of every other user in this run. */
export function newUser(name: string): User {
  const id = randomUUID().slice(0, 8);
  return {
    name: `${name} ${id}`,
    username: `${name.toLowerCase()}.${id}`,
    email: `${name.toLowerCase()}.${id}@example.org`,
    password: "warm embers at night",
  };
}
