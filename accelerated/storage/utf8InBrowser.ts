/** Whether bytes are UTF-8, in place of utf8.ts in a browser. */

/** Bytes that are decoded at once: a text of all bytes may not fit into one string. */
const piece = 2 ** 22

export const isUtf8 = (bytes: Uint8Array): boolean => {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    for (let at = 0; at < bytes.length; at += piece) decoder.decode(bytes.subarray(at, at + piece), { stream: true })
    decoder.decode()
    return true
  } catch {
    return false
  }
}
