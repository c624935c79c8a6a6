/** The word cache: the ids are always those of the word, and a recent word is not tokenized again. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WordCache } from '../../../accelerated/checkpoints/tokenizer/prefixTokenizer.js'

/** Ids that differ for different words. */
const idsOf = (word: string): readonly number[] =>
  [word.length, ...Array.from({ length: word.length }, (_, i) => word.charCodeAt(i))].slice(0, 12)

const calls = () => {
  const words: string[] = []
  const cache = new WordCache()
  const ids = (text: string, start = 0, end = text.length): readonly number[] => {
    const into = [-1]
    cache.append(text, start, end, into, (word) => {
      words.push(word)
      return idsOf(word)
    })
    return into
  }
  return { words, ids }
}

describe('the word cache', () => {
  it('returns the ids of a word, cached or not, at any offset', () => {
    const word = fc.oneof(fc.string({ maxLength: 6 }), fc.string({ minLength: 20, maxLength: 40 }), fc.string({ unit: 'binary' }))
    fc.assert(
      fc.property(fc.array(word, { maxLength: 60 }), (words) => {
        const { ids } = calls()
        for (const [i, one] of [...words, ...words].entries()) {
          const text = 'before'.slice(0, i % 6) + one + 'after'.slice(0, i % 5)
          expect(ids(text, i % 6, (i % 6) + one.length)).toEqual([-1, ...idsOf(one)])
        }
      }),
    )
  })

  it('has its words and their ids after it has grown', () => {
    const { ids, words } = calls()
    const all = Array.from({ length: 600 }, (_, i) => `w${i}`)
    for (const word of [...all, ...all]) expect(ids(word)).toEqual([-1, ...idsOf(word)])
    expect(words.slice(0, all.length)).toEqual(all)
    expect(words.length).toBeLessThan(all.length + 5) // a fifth word of a set
  })

  it('tokenizes a repeated word once', () => {
    const { ids, words } = calls()
    for (let i = 0; i < 5; i++) ids('word')
    expect(words).toEqual(['word'])
  })

  it('distinguishes words of the same length and hash', () => {
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
    const { ids } = calls()
    for (const [one, other] of pairs) {
      ids(one)
      expect(ids(other)).toEqual([-1, ...idsOf(other)])
      expect(ids(one)).toEqual([-1, ...idsOf(one)])
    }
  })

  it('keeps common words among many others, in constant memory', () => {
    const { ids, words } = calls()
    const common = Array.from({ length: 100 }, (_, i) => `w${i}`)
    for (let i = 0; i < 300_000; i++) {
      ids(`${i * 13}`)
      ids(common[i % 100] ?? '')
    }
    expect(words.filter((word) => word.startsWith('w')).length).toBeLessThan(110)
  })
})
