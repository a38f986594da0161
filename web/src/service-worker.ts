/**
 * Keeps the shell of the client (page, scripts, styles, icons) on the device,
 * so that it opens without a network; messages are kept by the model. Each
 * build has a version of its own, installed beside the one in use, and used
 * only after every tab is closed or somebody says "Reload": one version never
 * sees the files of another.
 *
 * Built by build/service-worker.ts, which fills in the two constants.
 */
declare const __VERSION__: string;
declare const __FILES__: readonly string[];

// The library of types knows only workers in general.
const worker = self as unknown as ServiceWorkerGlobalScope;

const PREFIX = "shell-";
const cacheName = PREFIX + __VERSION__;
/** The page that every address of the client is answered with. */
const PAGE = "/";

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(activate()));

worker.addEventListener("message", (event) => {
  if (event.data === "take over") void worker.skipWaiting();
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== worker.location.origin) return;
  if (request.mode === "navigate") {
    // The server's own pages are none of ours.
    if (!/^\/(?:api|internal|health)\//u.test(url.pathname)) event.respondWith(answer(PAGE, request));
    return;
  }
  if (url.pathname.startsWith("/assets/") || __FILES__.includes(url.pathname))
    event.respondWith(answer(url.pathname, request));
});

// Shown by this worker where a page may not show them (Chrome for Android). The tag is who wrote.
worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(showChat(event.notification.tag));
});

async function install(): Promise<void> {
  const cache = await caches.open(cacheName);
  await Promise.all(
    __FILES__.map(async (path) => {
      // A name with a hash in it is the same file in every version: no need to load it again.
      const known = path.startsWith("/assets/") ? await caches.match(path) : undefined;
      await (known ? cache.put(path, known) : cache.add(new Request(path, { cache: "no-cache" })));
    }),
  );
}

async function activate(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(
    names.filter((name) => name.startsWith(PREFIX) && name !== cacheName).map((name) => caches.delete(name)),
  );
  await worker.clients.claim();
}

async function answer(path: string, request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  return (await cache.match(path)) ?? fetch(request);
}

async function showChat(person: string): Promise<void> {
  const path = person === "" ? "/" : `/c/~${encodeURIComponent(person)}`;
  const pages = await worker.clients.matchAll({ type: "window" });
  const page = pages.find((client) => client.visibilityState === "visible") ?? pages[0];
  if (!page) {
    await worker.clients.openWindow(path);
    return;
  }
  page.postMessage({ open: path });
  await page.focus();
}
