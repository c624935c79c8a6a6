/** SHA-256 by Node. A browser's bundle has digestInBrowser.ts in its place ("browser" in package.json). */
import { createHash, hash } from 'node:crypto'

/** A digest in the making, of what `update` is given. */
export type Sha256 = { readonly update: (content: string | Uint8Array) => void; readonly hex: () => string }

export const sha256 = (): Sha256 => {
  const made = createHash('sha256')
  return { update: (content) => void made.update(content), hex: () => made.digest('hex') }
}

/** The 32 bytes of a text's digest. */
export const digestOf = (text: string): Uint8Array => hash('sha256', text, 'buffer')
