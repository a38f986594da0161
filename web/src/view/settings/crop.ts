/** Reading, cropping and encoding of a picture that the user has chosen. */

/** Width and height of the result in pixels, and its bytes at most. The server checks both. */
export const SIDE = 256;
const MAX_BYTES = 64 * 1024;
/** Larger files are not read, since decoding them could use up the memory of a phone. */
const MAX_FILE = 40 * 1024 * 1024;
export const MAX_ZOOM = 5;

/** Which square of a picture to use: its center, from 0 to 1 of each side, and how far it is enlarged. */
export interface Crop {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

export const CENTER: Crop = { x: 0.5, y: 0.5, zoom: 1 };

/** A file that cannot be used, with the reason. */
export class Unusable extends Error {
  readonly reason: "picture_too_large" | "picture_invalid";
  constructor(reason: Unusable["reason"], cause?: unknown) {
    super(reason, { cause });
    this.reason = reason;
  }
}

/** Decodes a file. The first frame of an animation is used. Rejects with {@link Unusable}. */
export async function read(file: Blob): Promise<ImageBitmap> {
  if (file.size > MAX_FILE) throw new Unusable("picture_too_large");
  try {
    return await createImageBitmap(file);
  } catch (err) {
    throw new Unusable("picture_invalid", err);
  }
}

/** The side of the square of `crop`, in pixels of the picture. */
export function sideOf(picture: { width: number; height: number }, zoom: number): number {
  return Math.min(picture.width, picture.height) / zoom;
}

/** Returns `crop` so that its square is inside the picture. */
export function inside(picture: { width: number; height: number }, crop: Crop): Crop {
  const zoom = Math.min(Math.max(crop.zoom, 1), MAX_ZOOM);
  const half = sideOf(picture, zoom) / 2;
  const clamp = (at: number, size: number): number => Math.min(Math.max(at, half / size), 1 - half / size);
  return { x: clamp(crop.x, picture.width), y: clamp(crop.y, picture.height), zoom };
}

/** Draws the square of `crop` on the whole canvas. */
export function draw(canvas: HTMLCanvasElement, picture: ImageBitmap, crop: Crop): void {
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) return;
  const side = sideOf(picture, crop.zoom);
  context.fillStyle = "#fff"; // behind transparent pictures
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  const left = crop.x * picture.width - side / 2;
  const top = crop.y * picture.height - side / 2;
  context.drawImage(picture, left, top, side, side, 0, 0, canvas.width, canvas.height);
}

/** Encodes the square of `crop` as WebP, or as JPEG in browsers that cannot (Safari). */
export async function encode(picture: ImageBitmap, crop: Crop): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  draw(canvas, picture, crop);
  for (const type of ["image/webp", "image/jpeg"]) {
    for (const quality of [0.86, 0.7, 0.5, 0.3]) {
      const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, type, quality));
      if (blob?.type !== type) break; // the browser has made a PNG instead
      if (blob.size <= MAX_BYTES) return blob;
    }
  }
  throw new Unusable("picture_invalid");
}
