/** Files as one zip file. */
import { zipSync } from 'fflate'

/** Weights do not get smaller, so nothing is compressed. */
export const zipOf = (files: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> =>
  zipSync(Object.fromEntries(files), { level: 0 }) as Uint8Array<ArrayBuffer>
