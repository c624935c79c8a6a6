/** A cache of words' ids in typed arrays of a fixed size. Each word belongs to a set of four entries. A new word replaces the least recently used one of its set. */

/** 2¹⁷ words of at most 24 characters and 8 ids. Longer ones are not cached. */
const [setBits, ways, longestWord, mostIds] = [15, 4, 24, 8]
const entries = ways * 2 ** setBits

export class WordCache {
  private readonly characters = new Uint16Array(entries * longestWord)
  private readonly lengths = new Uint8Array(entries)
  private readonly hashes = new Int32Array(entries)
  private readonly ids = new Int32Array(entries * mostIds)
  private readonly counts = new Uint8Array(entries)
  /** the clock at an entry's last use */
  private readonly used = new Float64Array(entries)
  private clock = 0

  /** Appends the ids of `text` from `start` to `end` to `into`. `idsOf` computes those of a word that is not cached. */
  append(text: string, start: number, end: number, into: number[], idsOf: (word: string) => ReadonlyArray<number>): void {
    const length = end - start
    if (length > longestWord) {
      for (const id of idsOf(text.slice(start, end))) into.push(id)
      return
    }
    let hash = 0x811c9dc5 ^ length // FNV-1a over characters
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    const first = ways * ((hash ^ (hash >>> setBits)) & (2 ** setBits - 1))
    this.clock++
    for (let entry = first; entry < first + ways; entry++) {
      if (this.hashes[entry] !== hash || this.lengths[entry] !== length || !this.holds(entry, text, start)) continue
      this.used[entry] = this.clock
      const at = entry * mostIds
      for (let i = at; i < at + (this.counts[entry] ?? 0); i++) into.push(this.ids[i] ?? 0)
      return
    }
    const ids = idsOf(text.slice(start, end))
    for (const id of ids) into.push(id)
    if (ids.length <= mostIds) this.keep(this.oldest(first), hash, text, start, length, ids)
  }

  private holds(entry: number, text: string, start: number): boolean {
    const at = entry * longestWord
    for (let i = 0; i < (this.lengths[entry] ?? 0); i++) if (this.characters[at + i] !== text.charCodeAt(start + i)) return false
    return true
  }

  private oldest(first: number): number {
    let oldest = first
    for (let entry = first + 1; entry < first + ways; entry++) if ((this.used[entry] ?? 0) < (this.used[oldest] ?? 0)) oldest = entry
    return oldest
  }

  private keep(entry: number, hash: number, text: string, start: number, length: number, ids: ReadonlyArray<number>): void {
    for (let i = 0; i < length; i++) this.characters[entry * longestWord + i] = text.charCodeAt(start + i)
    this.lengths[entry] = length
    this.hashes[entry] = hash
    this.ids.set(ids, entry * mostIds)
    this.counts[entry] = ids.length
    this.used[entry] = this.clock
  }
}
