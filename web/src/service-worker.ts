/**
 * Caches the shell of the client (page, scripts, styles, icons) on the device, so that it opens without a network. The
 * model stores the messages. Each build has its own version. It is installed beside the current one and becomes active
 * only after every tab is closed or the user chooses "Reload", so that one version never sees the files of another.
 *
 * Built by build/service-worker.ts, which fills in the constants.
 */
import type { PushHandlers } from "./worker/push";

declare const __VERSION__: string;
declare const __FILES__: readonly string[];
declare const __PUSH__: string;

// The type library only knows workers in general.
const worker = self as unknown as ServiceWorkerGlobalScope;

const PREFIX = "shell-";
const cacheName = PREFIX + __VERSION__;
/** The page that answers every address of the client. */
const PAGE = "/";

worker.addEventListener("install", (event) => {
  // A worker may load later only what it has loaded by the end of its installation.
  pushHandlers();
  event.waitUntil(install());
});
worker.addEventListener("activate", (event) => event.waitUntil(activate()));

worker.addEventListener("message", (event) => {
  if (event.data === "take over") void worker.skipWaiting();
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== worker.location.origin) return;
  if (request.mode === "navigate") {
    // Paths that the server answers itself.
    if (!/^\/(?:api|internal|health)\//u.test(url.pathname)) event.respondWith(answer(PAGE, request));
    return;
  }
  if (url.pathname.startsWith("/assets/") || __FILES__.includes(url.pathname))
    event.respondWith(answer(url.pathname, request));
});

worker.addEventListener("push", (event) => {
  event.waitUntil(pushHandlers().deliver(worker.registration, event.data?.text() ?? null, focused));
});
worker.addEventListener("pushsubscriptionchange", (event) => {
  (event as ExtendableEvent).waitUntil(pushHandlers().renew(worker.registration));
});

// A notification of a push, or of a page that may not show it itself (Chrome for Android). The tag begins with the uid of the other user.
worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(
    showChat(
      event.notification.tag.replace(/\/.*/u, ""),
      (event.notification.data as { account?: unknown } | null)?.account,
    ),
  );
});

/** Loads src/worker/push.ts. The worker starts without it, because each navigation may start the worker. */
function pushHandlers(): PushHandlers {
  const scope = worker as unknown as { phoenixPush?: PushHandlers };
  if (!scope.phoenixPush) worker.importScripts(__PUSH__);
  if (!scope.phoenixPush) throw new Error("the handlers of pushes could not be loaded");
  return scope.phoenixPush;
}

async function focused(): Promise<boolean> {
  const pages = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  return pages.some((page) => page.focused);
}

async function install(): Promise<void> {
  const cache = await caches.open(cacheName);
  await Promise.all(
    __FILES__.map(async (path) => {
      // A file with a hash in its name is the same in every version, so it need not be loaded again.
      const known = path.startsWith("/assets/") ? await caches.match(path) : undefined;
      await (known ? cache.put(path, known) : cache.add(new Request(path, { cache: "no-cache" })));
    }),
  );
}

async function activate(): Promise<void> {
  const names = await caches.keys();
  // In the order of their creation. Open pages of the version before load the rest of their code from its cache.
  const others = names.filter((name) => name.startsWith(PREFIX) && name !== cacheName);
  await Promise.all(others.slice(0, -1).map((name) => caches.delete(name)));
  await worker.clients.claim();
}

async function answer(path: string, request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const known = (await cache.match(path)) ?? (path.startsWith("/assets/") ? await caches.match(path) : undefined);
  return known ?? fetch(request);
}

async function showChat(uid: string, account: unknown): Promise<void> {
  const path = uid === "" ? "/" : `/c/~${encodeURIComponent(uid)}`;
  const pages = await worker.clients.matchAll({ type: "window" });
  const page = pages.find((client) => client.visibilityState === "visible") ?? pages[0];
  if (!page) {
    await worker.clients.openWindow(path);
    return;
  }
  page.postMessage({ open: path, account });
  await page.focus();
}
