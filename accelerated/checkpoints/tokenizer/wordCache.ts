/** Ids of words met before, in typed arrays of a fixed size: a set of four places for each word, of which the one used longest ago gives way. */

/** 2¹⁷ words, the longest of them, and the most ids of one; longer ones are not kept. */
const [setBits, ways, longestWord, mostIds] = [15, 4, 24, 8]
const places = ways * 2 ** setBits

export class WordCache {
  private readonly characters = new Uint16Array(places * longestWord)
  private readonly lengths = new Uint8Array(places)
  private readonly hashes = new Int32Array(places)
  private readonly ids = new Int32Array(places * mostIds)
  private readonly counts = new Uint8Array(places)
  /** when a place was last used */
  private readonly used = new Float64Array(places)
  private clock = 0

  /** Appends the ids of `text` from `start` to `end` to `into`; those of a word not met lately are asked of `idsOf`. */
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
    for (let place = first; place < first + ways; place++) {
      if (this.hashes[place] !== hash || this.lengths[place] !== length || !this.holds(place, text, start)) continue
      this.used[place] = this.clock
      const at = place * mostIds
      for (let i = at; i < at + (this.counts[place] ?? 0); i++) into.push(this.ids[i] ?? 0)
      return
    }
    const ids = idsOf(text.slice(start, end))
    for (const id of ids) into.push(id)
    if (ids.length <= mostIds) this.keep(this.oldest(first), hash, text, start, length, ids)
  }

  private holds(place: number, text: string, start: number): boolean {
    const at = place * longestWord
    for (let i = 0; i < (this.lengths[place] ?? 0); i++) if (this.characters[at + i] !== text.charCodeAt(start + i)) return false
    return true
  }

  private oldest(first: number): number {
    let oldest = first
    for (let place = first + 1; place < first + ways; place++) if ((this.used[place] ?? 0) < (this.used[oldest] ?? 0)) oldest = place
    return oldest
  }

  private keep(place: number, hash: number, text: string, start: number, length: number, ids: ReadonlyArray<number>): void {
    for (let i = 0; i < length; i++) this.characters[place * longestWord + i] = text.charCodeAt(start + i)
    this.lengths[place] = length
    this.hashes[place] = hash
    this.ids.set(ids, place * mostIds)
    this.counts[place] = ids.length
    this.used[place] = this.clock
  }
}
