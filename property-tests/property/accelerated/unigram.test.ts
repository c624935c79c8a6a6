/** The unigram model finds the best segmentation of a word, and a normalization table is read within bounds. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { precompiledNormalizer, unigram, type ScoredPieces } from '../../../accelerated/checkpoints/tokenizer/sentencePiece.js'
import { SEED } from '../../support/seed.js'

/** Every way to cut a word, with a score: by trying all. */
const ways = (word: readonly string[], pieces: ReadonlyMap<string, number>, unknown: number): readonly (readonly [string, number])[] =>
  word.length === 0
    ? [['', 0]]
    : word.flatMap((_, i) => {
        const piece = word.slice(0, i + 1).join('')
        const score = pieces.get(piece) ?? (i === 0 ? unknown : undefined)
        if (score === undefined) return []
        return ways(word.slice(i + 1), pieces, unknown).map(([rest, more]): readonly [string, number] => [
          `${pieces.has(piece) ? piece : '?'}|${rest}`,
          score + more,
        ])
      })

describe(`the unigram model (seed ${SEED})`, () => {
  it('finds a segmentation that no other one beats', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', 'c', '𝕏'), { minLength: 1, maxLength: 7 })
    const vocabulary = fc.uniqueArray(
      letters.map((piece) => piece.slice(0, 3).join('')),
      { minLength: 1, maxLength: 12 },
    )
    fc.assert(
      fc.property(vocabulary, letters, fc.infiniteStream(fc.double({ min: -9, max: -1, noNaN: true })), (names, word, scores) => {
        const pieces: ScoredPieces = names.map((name) => [name, scores.next().value])
        const table = new Map(pieces)
        const all = ways(word, table, Math.min(...table.values()) - 10)
        const best = Math.max(...all.map(([, score]) => score))
        const segmentation = unigram([...pieces, ['?', 0]], pieces.length, null)([word.join('')])
        const fused = (way: string): string => way.replace(/(\?\|)+/g, '?|')
        const equals = all.filter(([, score]) => score > best - 1e-9).map(([way]) => fused(way))
        expect(equals).toContain(`${segmentation.join('|')}|`)
      }),
      { seed: SEED, numRuns: 500 },
    )
  })

  it('prefers the longest last piece if two ways to cut are equally likely', () => {
    const pieces: ScoredPieces = [
      ['?', 0],
      ['a', -1],
      ['ab', -2],
      ['b', -1],
      ['bc', -2],
      ['c', -1],
    ]
    expect(unigram(pieces, 0, null)(['abc'])).toEqual(['a', 'bc'])
  })

  it('cuts words before the mark, and fuses adjacent unknown characters within a word', () => {
    const pieces: ScoredPieces = [
      ['?', 0],
      ['▁', -1],
      ['▁▁', -0.1],
      ['a', -1],
    ]
    expect(unigram(pieces, 0, '▁')(['▁a▁▁xyzax'])).toEqual(['▁', 'a', '▁', '▁', '?', 'a', '?'])
    expect(unigram(pieces, 0, null)(['▁▁a'])).toEqual(['▁▁', 'a'])
    expect(unigram(pieces, 0, null)(['x', 'y'])).toEqual(['?', '?'])
  })

  it('segments a text of a million characters', () => {
    const pieces: ScoredPieces = [
      ['?', 0],
      ['a', -1],
    ]
    expect(unigram(pieces, 0, null)(['x'.repeat(1_000_000)])).toEqual(['?'])
    expect(unigram(pieces, 0, null)(['a'.repeat(300_000)])).toHaveLength(300_000)
  })
})

describe('a normalization table', () => {
  const bytes = (size: number, units: readonly number[], texts: string): string => {
    const head = Buffer.alloc(4 + 4 * units.length)
    head.writeUInt32LE(size)
    units.forEach((unit, i) => head.writeUInt32LE(unit, 4 + 4 * i))
    return Buffer.concat([head, Buffer.from(texts)]).toString('base64')
  }

  it('replaces nothing if its trie points nowhere', () => {
    expect(precompiledNormalizer(bytes(4, [0xfffffc00], ''), 'T')('añ東')).toBe('añ東')
    expect(precompiledNormalizer(bytes(4, [0], 'x'), 'T')('añ東')).toBe('añ東')
  })

  it.each([
    ['', 'T: expected a precompiled_charsmap that begins with the size of its trie, got 0 of 0 bytes'],
    [bytes(8, [0], ''), 'T: expected a precompiled_charsmap that begins with the size of its trie, got 8 of 8 bytes'],
    [bytes(3, [0], ''), 'T: expected a precompiled_charsmap that begins with the size of its trie, got 3 of 8 bytes'],
    [bytes(4, [0], `a\0${'x'.repeat(65)}\0`), 'T: expected a precompiled_charsmap of texts of at most 64 bytes, got one of 65'],
  ])('is refused in one line if it is malformed (%j)', (table, message) => {
    expect(() => precompiledNormalizer(table, 'T')).toThrow(message)
  })
})
