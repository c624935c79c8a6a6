/** A storage some of whose files have another text than underneath: what reads them there reads the changed text. */
import type { OpenFile, Storage } from './storage.js'

/** @param texts by path; each file exists underneath */
export const withTexts = (under: Storage, texts: ReadonlyMap<string, string>): Storage => ({
  ...under,
  open: async (path): Promise<OpenFile> => {
    const text = texts.get(path)
    if (text === undefined) return under.open(path)
    const bytes = new TextEncoder().encode(text)
    return { size: bytes.length, read: async (position, length) => bytes.slice(position, position + length), close: async () => undefined }
  },
})
