/** A cache of words' ids in typed arrays. Each word belongs to a set of four entries. A new word replaces the least recently used one of its set. */

/** Words of at most 24 characters and 8 ids. Longer ones are not cached. */
const [ways, longestWord, mostIds] = [4, 24, 8]
/** 2¹⁷ words in 13 MB. A file of texts may have few: the cache grows to its full size, once, at the 513th. */
const [setBits, firstBits, fewWords] = [15, 9, 512]

const tableOf = (bits: number) => {
  const entries = ways * 2 ** bits
  return {
    sets: 2 ** bits,
    characters: new Uint16Array(entries * longestWord),
    lengths: new Uint8Array(entries),
    hashes: new Int32Array(entries),
    ids: new Int32Array(entries * mostIds),
    counts: new Uint8Array(entries),
    /** the clock at an entry's last use */
    used: new Float64Array(entries),
  }
}
type Table = ReturnType<typeof tableOf>

/** The first entry of a hash's set. */
const firstOf = ({ sets }: Table, hash: number): number => ways * ((hash ^ (hash >>> setBits)) & (sets - 1))

export class WordCache {
  private table = tableOf(firstBits)
  private words = 0
  private clock = 0

  /** Appends the ids of `text` from `start` to `end` to `into`. `idsOf` computes those of a word that is not cached. */
  append(text: string, start: number, end: number, into: number[], idsOf: (word: string) => readonly number[]): void {
    const length = end - start
    if (length > longestWord) {
      for (const id of idsOf(text.slice(start, end))) into.push(id)
      return
    }
    let hash = 0x811c9dc5 ^ length // FNV-1a over characters
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    const { hashes, lengths, ids: cached, counts, used } = this.table
    const first = firstOf(this.table, hash)
    this.clock++
    for (let entry = first; entry < first + ways; entry++) {
      if (hashes[entry] !== hash || lengths[entry] !== length || !this.holds(entry, text, start)) continue
      used[entry] = this.clock
      const at = entry * mostIds
      for (let i = at; i < at + (counts[entry] ?? 0); i++) into.push(cached[i] ?? 0)
      return
    }
    const ids = idsOf(text.slice(start, end))
    for (const id of ids) into.push(id)
    if (ids.length <= mostIds) this.keep(hash, text, start, length, ids)
  }

  private holds(entry: number, text: string, start: number): boolean {
    const { characters, lengths } = this.table
    const at = entry * longestWord
    for (let i = 0; i < (lengths[entry] ?? 0); i++) if (characters[at + i] !== text.charCodeAt(start + i)) return false
    return true
  }

  private keep(hash: number, text: string, start: number, length: number, ids: readonly number[]): void {
    if (this.words++ === fewWords) this.table = grown(this.table)
    const entry = oldest(this.table, hash)
    for (let i = 0; i < length; i++) this.table.characters[entry * longestWord + i] = text.charCodeAt(start + i)
    this.table.lengths[entry] = length
    this.table.hashes[entry] = hash
    this.table.ids.set(ids, entry * mostIds)
    this.table.counts[entry] = ids.length
    this.table.used[entry] = this.clock
  }
}

/** The least recently used entry of a hash's set. */
const oldest = (table: Table, hash: number): number => {
  const { used } = table
  const first = firstOf(table, hash)
  let found = first
  for (let entry = first + 1; entry < first + ways; entry++) if ((used[entry] ?? 0) < (used[found] ?? 0)) found = entry
  return found
}

/** The same words in a table of the full size. */
const grown = (small: Table): Table => {
  const large = tableOf(setBits)
  for (const [from, hash] of small.hashes.entries()) {
    if (small.used[from] === 0) continue
    const to = oldest(large, hash)
    large.characters.set(small.characters.subarray(from * longestWord, (from + 1) * longestWord), to * longestWord)
    large.ids.set(small.ids.subarray(from * mostIds, (from + 1) * mostIds), to * mostIds)
    for (const part of ['lengths', 'hashes', 'counts', 'used'] as const) large[part][to] = small[part][from] ?? 0
  }
  return large
}
