#!/usr/bin/env node
/**
 * Runs the installed Firefox for Playwright. It stands where Playwright expects the browser's program,
 * starts the one that FIREFOX names (Debian's otherwise), and stands between the two on the wire.
 *
 * The reason: Playwright speaks WebDriver BiDi to an unpatched Firefox, and begins each context with a command
 * that Firefox ESR 153 has not got (emulation.setMediaFeaturesOverride, the colour scheme). It answers "unknown command", and
 * no context opens. Here that one command becomes session.status, which every Firefox answers and Playwright does not
 * look at: a colour scheme asked for is not set, and all else works. When Firefox knows the command, this file can go.
 */
import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

const unknown = Buffer.from('"method":"emulation.setMediaFeaturesOverride"');
const known = Buffer.from('"method":"session.status"'.padEnd(unknown.length)); // as long, so that frames keep their length

const firefox = spawn(process.env["FIREFOX"] ?? "/usr/bin/firefox-esr", process.argv.slice(2), {
  stdio: ["ignore", "inherit", "pipe"],
});
firefox.once("error", ({ message }) => {
  console.error(message);
  process.exit(1);
});
firefox.once("exit", (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => firefox.kill(signal));

createInterface(firefox.stderr).on("line", (line) => {
  const ready = /^(WebDriver BiDi listening on ws:\/\/)127\.0\.0\.1:(\d+)$/.exec(line);
  if (ready === null) {
    console.error(line);
    return;
  }
  const relay = createServer((client) => pass(client, Number(ready[2])));
  relay.listen(0, "127.0.0.1", () => console.error(`${ready[1]}127.0.0.1:${relay.address().port}`));
});

/**
 * Connects a client to Firefox; commands go through {@link rewriting}, and what Firefox says as it is.
 * @param {import("node:net").Socket} client
 * @param {number} port
 */
function pass(client, port) {
  const browser = connect(port, "127.0.0.1");
  browser.setNoDelay(true);
  client.setNoDelay(true);
  const rewrite = rewriting(port);
  client.on("data", (bytes) => {
    for (const part of rewrite(bytes)) browser.write(part);
  });
  browser.on("data", (bytes) => client.write(bytes));
  for (const [one, other] of [
    [client, browser],
    [browser, client],
  ]) {
    one.on("error", () => other.destroy());
    one.on("close", () => other.destroy());
  }
}

/** Takes the bytes of a client as they come, and gives those that may go on: the request, then whole frames (RFC 6455, 5.2). */
function rewriting(/** @type {number} */ port) {
  let greeted = false;
  let held = Buffer.alloc(0);
  return function* (/** @type {Buffer} */ bytes) {
    held = Buffer.concat([held, bytes]);
    if (!greeted) {
      const end = held.indexOf("\r\n\r\n");
      if (end < 0) return;
      greeted = true;
      yield Buffer.from(
        held.toString("latin1", 0, end + 4).replace(/^host:.*$/im, `Host: 127.0.0.1:${port}`),
        "latin1",
      ); // Firefox checks it
      held = held.subarray(end + 4);
    }
    for (let length = frame(held); length > 0; length = frame(held)) {
      yield replaced(held.subarray(0, length));
      held = held.subarray(length);
    }
  };
}

/** Where the payload begins, behind the mask, and the frame's length; undefined while its head has not come. */
function head(/** @type {Buffer} */ bytes) {
  if (bytes.length < 2) return undefined;
  const short = bytes[1] & 0x7f;
  const size = short === 126 ? 2 : short === 127 ? 8 : 0;
  const start = 2 + size + 4; // clients always mask
  if (bytes.length < start) return undefined;
  const payload = size === 0 ? short : size === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  return { start, length: start + payload };
}

/** The length of the whole frame that the bytes begin with, or 0. */
function frame(/** @type {Buffer} */ bytes) {
  const found = head(bytes);
  return found === undefined || bytes.length < found.length ? 0 : found.length;
}

/** The frame with the unknown command replaced. */
function replaced(/** @type {Buffer} */ whole) {
  const { start } = head(whole) ?? { start: whole.length };
  const mask = whole.subarray(start - 4, start);
  const payload = Buffer.from(whole.subarray(start));
  for (let i = 0; i < payload.length; i++) payload[i] ^= mask[i % 4];
  const at = payload.indexOf(unknown);
  if (at < 0) return whole;
  known.copy(payload, at);
  for (let i = 0; i < payload.length; i++) payload[i] ^= mask[i % 4];
  return Buffer.concat([whole.subarray(0, start), payload]);
}
