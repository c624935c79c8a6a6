/** Instructions of the decoder's study: three parts of fixed sizes, of short rows with a response, that share no row. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  inParts,
  longestPiece,
  longestRow,
  partSizes,
  piecesOf,
  shortInstructions,
  type Instruction,
} from '../../../evaluation/studies/decoderParts.js'
import { SEED } from '../../support/seed.js'

const needed = partSizes.train + partSizes.choose + partSizes.report
const good = (i: number): Instruction => ({ instruction: `Say ${i}.`, input: '', output: String(i) })
const bad = fc.constantFrom<Instruction>(
  { instruction: 'Say nothing.', input: '', output: ' \n' },
  { instruction: 'i'.repeat(longestRow), input: '', output: 'x' },
  { instruction: 'Count.', input: 'n'.repeat(longestRow - 7), output: 'xy' },
)

describe(`parts of the decoder's study, seed ${SEED}`, () => {
  it('are the first good rows, in the order of the file', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: needed }), bad), { maxLength: 20 }), fc.nat({ max: 3 }), (extra, more) => {
        const rows = Array.from({ length: needed + more }, (_, i) => good(i))
        for (const [place, row] of extra) rows.splice(place, 0, row)
        const parts = inParts(shortInstructions(rows))
        const said = [...(parts?.train ?? []), ...(parts?.choose ?? []), ...(parts?.report ?? [])].map(({ output }) => Number(output))
        expect(said).toEqual(Array.from({ length: needed }, (_, i) => i))
        expect([parts?.train.length, parts?.choose.length, parts?.report.length]).toEqual([1600, 240, 600])
      }),
      { seed: SEED, numRuns: 20 },
    )
  })

  it('a row of exactly the longest length is short, and one good row too few is null', () => {
    const rows = Array.from({ length: needed - 1 }, (_, i) => good(i))
    expect(inParts(shortInstructions(rows))).toBeNull()
    const longest = { instruction: 'Count.', input: 'n'.repeat(longestRow - 7), output: 'x' }
    expect(inParts(shortInstructions([...rows, longest]))?.report.at(-1)).toEqual(longest)
  })

  it('pieces of a text have all its words in order, and no next word would fit', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'é', '日', '.'), minLength: 1, maxLength: 2 * longestPiece })
    fc.assert(
      fc.property(fc.array(word, { maxLength: 60 }), fc.constantFrom(' ', '\n\n', '\t'), (words, blank) => {
        const pieces = piecesOf(words.join(blank)).map(({ text }) => text)
        expect(pieces.flatMap((piece) => piece.split(' '))).toEqual(words)
        pieces.forEach((piece, i) => {
          if (piece.includes(' ')) expect(piece.length).toBeLessThanOrEqual(longestPiece)
          const next = pieces[i + 1]?.split(' ')[0]
          if (next !== undefined) expect(piece.length + 1 + next.length).toBeGreaterThan(longestPiece)
        })
      }),
      { seed: SEED, numRuns: 100 },
    )
  })

  it('a piece of exactly the longest length is one, and a longer one is two', () => {
    const [first, second] = ['a'.repeat(longestPiece / 2 - 1), 'b'.repeat(longestPiece / 2)]
    expect(piecesOf(`${first} ${second}`).map(({ text }) => text.length)).toEqual([longestPiece])
    expect(piecesOf(`${first}a ${second}`).map(({ text }) => text.length)).toEqual([longestPiece / 2, longestPiece / 2])
  })
})
