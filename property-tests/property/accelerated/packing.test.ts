/** Packed batches: where each token went and how it comes back. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Feeds } from '../../../accelerated/engines/feeds.js'
import { packBatch, selectionFeeds } from '../../../accelerated/models/packing.js'
import { largestBatch } from '../../../accelerated/training/batchFeeds.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 60 }
const example = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 1 })), { minLength: 1, maxLength: 6 })
  .map((pairs) => ({ inputIds: pairs.map(([id]) => id), tokenTypeIds: pairs.map(([, type]) => type) }))
const examples = fc.array(example, { minLength: 1, maxLength: 5 })
/** No id is that of padding. */
const plain = examples.map((batch) =>
  batch.map(({ inputIds, tokenTypeIds }) => ({ inputIds: inputIds.map((id) => id + 20), tokenTypeIds })),
)
const data = (feeds: Feeds, name: string): readonly number[] => Array.from(feeds[name]?.data ?? [], Number)
const upTo = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)

/** transformers' create_position_ids_from_input_ids: cumsum(mask) · mask + padding, the mask 0 where an id is that of padding; BERT has none. */
const positionsOf = (ids: readonly number[], first: number): readonly number[] => {
  if (first === 0) return upTo(ids.length)
  let sum = 0
  return ids.map((id) => {
    const mask = id === first - 1 ? 0 : 1
    sum += mask
    return sum * mask + first - 1
  })
}

describe(`packing (seed ${SEED})`, () => {
  it('concatenates the tokens of all examples, with positions that restart in each and skip literal padding tokens', () => {
    fc.assert(
      fc.property(examples, fc.integer({ min: 0, max: 2 }), (batch, first) => {
        const packed = packBatch(batch, first, 'float32')
        expect(data(packed.feeds, 'inputIds')).toEqual(batch.flatMap(({ inputIds }) => inputIds))
        expect(data(packed.feeds, 'tokenTypes')).toEqual(batch.flatMap(({ tokenTypeIds }) => tokenTypeIds))
        expect(data(packed.feeds, 'positions')).toEqual(batch.flatMap(({ inputIds }) => positionsOf(inputIds, first)))
        expect(packed).toMatchObject({
          batch: batch.length,
          sequence: Math.max(...batch.map(({ inputIds }) => inputIds.length)),
          tokens: data(packed.feeds, 'inputIds').length,
        })
      }),
      options,
    )
  })

  it('gives token j of example i the slot i · sequence + j, and its inverse', () => {
    fc.assert(
      fc.property(examples, (batch) => {
        const { feeds, tokens, sequence } = packBatch(batch, 0, 'float32')
        const [slotOfToken, tokenOfSlot, orNone] = ['slotOfToken', 'tokenOfSlot', 'tokenOfSlotOrNone'].map((name) => data(feeds, name)) as [
          number[],
          number[],
          number[],
        ]
        expect(slotOfToken).toEqual(batch.flatMap(({ inputIds }, i) => inputIds.map((_, j) => i * sequence + j)))
        expect(slotOfToken.map((slot) => tokenOfSlot[slot])).toEqual(upTo(tokens))
        expect(slotOfToken.map((slot) => orNone[slot])).toEqual(upTo(tokens))
      }),
      options,
    )
  })

  it('marks padding, and nothing else, in all three arrays over slots', () => {
    fc.assert(
      fc.property(examples, fc.constantFrom('float32' as const, 'float64' as const), (batch, dtype) => {
        const { feeds, tokens, sequence } = packBatch(batch, 0, dtype)
        const padding = batch.flatMap(({ inputIds }) => upTo(sequence).map((j) => j >= inputIds.length))
        expect(data(feeds, 'tokenOfSlotOrNone').map((token) => token === tokens)).toEqual(padding)
        expect(data(feeds, 'attentionBias')).toEqual(padding.map((isPadding) => (isPadding ? -1e9 : 0)))
        expect(
          data(feeds, 'tokenOfSlot')
            .filter((_, slot) => padding[slot])
            .every((token) => token === 0),
        ).toBe(true)
        expect(feeds['attentionBias']?.data).toBeInstanceOf(dtype === 'float64' ? Float64Array : Float32Array)
      }),
      options,
    )
  })

  it('sets token types to 0 if an example has none', () => {
    expect(data(packBatch([{ inputIds: [5, 6] }, { inputIds: [7], tokenTypeIds: [1] }], 0, 'float32').feeds, 'tokenTypes')).toEqual([
      0, 0, 1,
    ])
  })

  it('gives each virtual token a slot before every example and its index, and real tokens the number of virtual ones', () => {
    fc.assert(
      fc.property(plain, fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 2), (batch, count, first) => {
        const longer = batch.map(({ inputIds, tokenTypeIds }) => ({
          inputIds: [...Array<number>(count).fill(0), ...inputIds],
          tokenTypeIds: [...Array<number>(count).fill(0), ...tokenTypeIds],
        }))
        const { feeds, ...sizes } = packBatch(batch, first, 'float32', { count, at: 'embeddings' })
        const { feeds: expected, ...expectedSizes } = packBatch(longer, first, 'float32')
        expect(sizes).toEqual(expectedSizes)
        expect({ ...feeds, virtualToken: null }).toEqual({ ...expected, virtualToken: null })
        expect(data(feeds, 'virtualToken')).toEqual(batch.flatMap(({ inputIds }) => [...upTo(count), ...inputIds.map(() => count)]))
      }),
      options,
    )
  })

  it('shifts only the positions for virtual tokens that are keys and values', () => {
    fc.assert(
      fc.property(plain, fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 2 }), (batch, count, first) => {
        expect(packBatch(batch, first, 'float32', { count, at: 'attention' })).toEqual(packBatch(batch, first + count, 'float32'))
      }),
      options,
    )
  })

  it('refuses batches without examples and examples without tokens', () => {
    expect(() => packBatch([], 0, 'float32')).toThrow('packBatch: expected examples of at least one token, got lengths []')
    expect(() => packBatch([{ inputIds: [1] }, { inputIds: [] }], 0, 'float32')).toThrow(
      'packBatch: expected examples of at least one token, got lengths [1,0]',
    )
    expect(() => packBatch([{ inputIds: [] }], 0, 'float32', { count: 2, at: 'embeddings' })).toThrow(
      'packBatch: expected examples of at least one token, got lengths [2]',
    )
  })

  it('returns the first token of each example', () => {
    fc.assert(
      fc.property(plain, (batch) => {
        const { feeds, firstTokens } = packBatch(batch, 7, 'float32')
        expect(firstTokens.map((start) => data(feeds, 'inputIds')[start])).toEqual(batch.map(({ inputIds }) => inputIds[0]))
        expect(firstTokens.map((start) => data(feeds, 'positions')[start])).toEqual(batch.map(() => 7))
        expect(new Set(firstTokens).size).toBe(batch.length)
      }),
      options,
    )
  })

  it('selects rows and returns the inverse', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }).chain((tokens) => fc.tuple(fc.constant(tokens), fc.shuffledSubarray([...upTo(tokens)]))),
        ([tokens, rows]) => {
          const feeds = selectionFeeds(rows, tokens)
          expect(data(feeds, 'tokenOfRow')).toEqual(rows)
          expect(data(feeds, 'rowOfToken')).toEqual(upTo(tokens).map((token) => (rows.includes(token) ? rows.indexOf(token) : rows.length)))
        },
      ),
      options,
    )
  })
})

describe('the largest batch', () => {
  it("has the longest examples, including the method's virtual tokens", () => {
    const examples = [1, 5, 3, 2].map((length) => ({ inputIds: new Uint16Array(length) }))
    expect(largestBatch(examples, 2, 1)).toEqual({ batch: 2, sequence: 6, tokens: 10 })
    expect(largestBatch(examples, 9, 0)).toEqual({ batch: 4, sequence: 5, tokens: 11 })
  })
})
