import { connect } from "node:net";

type Reply = string | number | null | readonly Reply[];

/**
 * Sends one command to Redis on a new connection. It implements the protocol, so that tests do not depend on a
 * client.
 */
export async function redis(address: string, ...command: string[]): Promise<Reply> {
  const colon = address.lastIndexOf(":");
  const socket = connect(Number(address.slice(colon + 1)), address.slice(0, colon));
  const parts = command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  socket.write(`*${command.length}\r\n${parts.join("")}`);
  let received = Buffer.alloc(0);
  try {
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer]);
      const reply = read(received, 0);
      if (reply !== undefined) {
        if (reply.value instanceof Error) throw reply.value;
        return reply.value;
      }
    }
    throw new Error(`Redis at ${address} closed the connection.`);
  } finally {
    socket.destroy();
  }
}

interface Read<T> {
  readonly value: T;
  readonly end: number;
}

/** Reads the reply of the protocol that begins at `start`. Returns undefined until it is complete. */
function read(bytes: Buffer, start: number): Read<Reply | Error> | undefined {
  const line = bytes.indexOf("\r\n", start);
  if (line < 0) return undefined;
  const head = bytes.toString("utf8", start + 1, line);
  const rest = line + 2;
  switch (String.fromCharCode(bytes[start] ?? 0)) {
    case "+":
      return { value: head, end: rest };
    case "-":
      return { value: new Error(head), end: rest };
    case ":":
      return { value: Number(head), end: rest };
    case "$": {
      const length = Number(head);
      if (length < 0) return { value: null, end: rest };
      if (bytes.length < rest + length + 2) return undefined;
      return { value: bytes.toString("utf8", rest, rest + length), end: rest + length + 2 };
    }
    case "*": {
      const list: Reply[] = [];
      let at = rest;
      for (let i = 0; i < Number(head); i++) {
        const item = read(bytes, at);
        if (item === undefined) return undefined;
        if (item.value instanceof Error) return { value: item.value, end: item.end };
        list.push(item.value);
        at = item.end;
      }
      return { value: list, end: at };
    }
    default:
      throw new Error(`Redis sent an invalid reply: ${bytes.toString("utf8", start, start + 40)}`);
  }
}
