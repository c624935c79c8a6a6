/** The memory of words: whatever it holds and forgets, the ids are those of the word, and a word met lately is not asked for again. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WordCache } from '../../../accelerated/checkpoints/tokenizer/wordCache.js'

/** Ids that tell every word from every other. */
const idsOf = (word: string): ReadonlyArray<number> =>
  [word.length, ...Array.from({ length: word.length }, (_, i) => word.charCodeAt(i))].slice(0, 12)

const asked = () => {
  const words: string[] = []
  const cache = new WordCache()
  const ids = (text: string, start = 0, end = text.length): ReadonlyArray<number> => {
    const into = [-1]
    cache.append(text, start, end, into, (word) => {
      words.push(word)
      return idsOf(word)
    })
    return into
  }
  return { words, ids }
}

describe('the memory of words', () => {
  it('answers with the ids of the word, met before or not, wherever it stands', () => {
    const word = fc.oneof(fc.string({ maxLength: 6 }), fc.string({ minLength: 20, maxLength: 40 }), fc.string({ unit: 'binary' }))
    fc.assert(
      fc.property(fc.array(word, { maxLength: 60 }), (words) => {
        const { ids } = asked()
        for (const [i, one] of [...words, ...words].entries()) {
          const text = 'before'.slice(0, i % 6) + one + 'after'.slice(0, i % 5)
          expect(ids(text, i % 6, (i % 6) + one.length)).toEqual([-1, ...idsOf(one)])
        }
      }),
    )
  })

  it('asks once for a word that is met again', () => {
    const { ids, words } = asked()
    for (let i = 0; i < 5; i++) ids('word')
    expect(words).toEqual(['word'])
  })

  it('tells words apart that have one length and one hash', () => {
    const hashOf = (text: string): number =>
      Array.from(text).reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 0x01000193), 0x811c9dc5 ^ text.length)
    const met = new Map<number, string>()
    const pairs: [string, string][] = []
    for (let i = 0; i < 300_000; i++) {
      const [word, hash] = [(1e7 + i * 7919).toString(36), hashOf((1e7 + i * 7919).toString(36))]
      const other = met.get(hash)
      if (other !== undefined && other.length === word.length) pairs.push([other, word])
      met.set(hash, word)
    }
    expect(pairs.length).toBeGreaterThan(0)
    const { ids } = asked()
    for (const [one, other] of pairs) {
      ids(one)
      expect(ids(other)).toEqual([-1, ...idsOf(other)])
      expect(ids(one)).toEqual([-1, ...idsOf(one)])
    }
  })

  it('keeps common words while many others pass, in a memory of one size', () => {
    const { ids, words } = asked()
    const common = Array.from({ length: 100 }, (_, i) => `w${i}`)
    for (let i = 0; i < 300_000; i++) {
      ids(`${i * 13}`)
      ids(common[i % 100] ?? '')
    }
    expect(words.filter((word) => word.startsWith('w')).length).toBeLessThan(110)
  })
})
