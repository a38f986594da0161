/** Binary data that is kept on the device: a cache of the browser, which can be filled again. */

export interface Blobs {
  get(key: string): Promise<Blob | null>;
  put(key: string, blob: Blob): Promise<void>;
}

/** The most entries of one cache. */
const MOST = 400;
/** The number of entries, the oldest ones, that are removed from a full cache. */
const REMOVED = 100;

/**
 * Opens the cache with this name. {@link StorageRoot.remove} deletes it with the database of that name; what is put
 * afterwards is not kept. Without a cache in this browser, nothing is.
 */
export function browserBlobs(name: string): Blobs {
  const opened = open(name);
  const address = (key: string): string => `/${encodeURIComponent(key)}`;
  return {
    async get(key) {
      const found = await (await opened)?.match(address(key));
      return (await found?.blob()) ?? null;
    },
    async put(key, blob) {
      const cache = await opened;
      if (!cache) return;
      try {
        const keys = await cache.keys();
        if (keys.length >= MOST) for (const old of keys.slice(0, REMOVED)) await cache.delete(old);
        await cache.put(address(key), new Response(blob, { headers: { "content-type": blob.type } }));
      } catch {
        // The disk is full. The blob is loaded again the next time.
      }
    },
  };
}

async function open(name: string): Promise<Cache | null> {
  try {
    return await caches.open(name);
  } catch {
    return null; // denied, or not a secure context
  }
}
