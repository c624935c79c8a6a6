/** Attention over a packed batch against attention of one example at a time, by its definition. Gradients and padded batches: agreement/step, exports. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { batchInputs } from '../../../accelerated/models/batchInputs.js'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { input, mul } from '../../../accelerated/graph/operators.js'
import { plainHost } from '../../../accelerated/models/host.js'
import { attention, paddingBias } from '../../../accelerated/models/layers/attention.js'
import { packBatch } from '../../../accelerated/models/packing.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { float64, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { findBound } from '../../../evaluation/agreement/acceleratedSide.js'

const heads = 2
const headSize = 3
const hidden = heads * headSize
const upTo = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)
const sum = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0)

type Example = { readonly query: readonly number[]; readonly key: readonly number[]; readonly value: readonly number[] }
const parts = ['query', 'key', 'value'] as const
const lengthOf = (example: Example): number => example.query.length / hidden

/** Examples of one to five tokens; query, key and value of each: [length, hidden]. */
const examples: fc.Arbitrary<readonly Example[]> = fc.array(
  fc.integer({ min: 1, max: 5 }).chain((length) => {
    const numbers = evenlyMany(-2, 2)(length * hidden)
    return fc.record({ query: numbers, key: numbers, value: numbers })
  }),
  { minLength: 1, maxLength: 4 },
)

/** softmax(q kᵀ / √headSize) v of one example, head by head and token by token: [length, hidden]. It may have more keys than queries. */
const naiveAttention = (example: Example): readonly number[] => {
  const [tokens, keys] = [upTo(lengthOf(example)), upTo(example.key.length / hidden)]
  const at = (part: (typeof parts)[number], token: number, column: number): number => example[part][token * hidden + column] ?? NaN
  return tokens.flatMap((i) =>
    upTo(hidden).map((column) => {
      const first = Math.floor(column / headSize) * headSize
      const weights = keys.map((j) =>
        Math.exp(sum(upTo(headSize).map((c) => at('query', i, first + c) * at('key', j, first + c))) / Math.sqrt(headSize)),
      )
      return sum(keys.map((j) => (weights[j] ?? NaN) * at('value', j, column))) / sum(weights)
    }),
  )
}

const feedsOf = (batch: readonly Example[]) => {
  const { feeds, tokens } = packBatch(
    batch.map((example) => ({ inputIds: upTo(lengthOf(example)) })),
    0,
    'float64',
  )
  return {
    ...feeds,
    ...Object.fromEntries(
      parts.map((part) => [
        part,
        float64(
          batch.flatMap((example) => example[part]),
          [tokens, hidden],
        ),
      ]),
    ),
  }
}

const [query, key, value] = parts.map((part) => input(part, ['tokens', hidden], 'float64')) as [Expression, Expression, Expression]
const settings = { bias: paddingBias(batchInputs('float64')), heads, headSize, layer: 'layer', dropout: 0.3 }
const host = plainHost(() => {
  throw new Error('attention asks for no tensor')
})
const context = attention(settings, host, batchInputs('float64'), query, key, value)

describe(`attention (seed ${SEED})`, () => {
  it('attention of a packed batch equals attention of each example alone', () =>
    withGraph({ context }, (run) =>
      fc.assert(
        fc.asyncProperty(examples, async (batch) => {
          assertClose(resultOf(await run(feedsOf(batch)), 'context'), batch.flatMap(naiveAttention), {
            relative: findBound('cpu', 'float64'),
            name: 'context',
          })
        }),
        { seed: SEED, numRuns: 30 },
      ),
    ))

  it('asks its host for keys, values, bias and dropout under the name of its layer', () => {
    const calls: unknown[] = []
    const meddling: typeof host = {
      ...host,
      keyValue: (layer, { key: ownKey, value: ownValue, bias }) => {
        calls.push([layer, ownKey.shape, ownValue.shape, bias.shape])
        return { key: mul(ownKey, -1), value: mul(ownValue, 5), bias: mul(bias, 0) } // padding, which holds the first token of all, is attended to
      },
      dropout: (site, x, probability) => {
        calls.push([site, x.shape, probability])
        return mul(x, 7)
      },
    }
    const changed = attention(settings, meddling, batchInputs('float64'), query, key, value)
    expect(calls).toEqual([
      ['layer', ['batch', heads, 'sequence', headSize], ['batch', heads, 'sequence', headSize], ['batch', 1, 1, 'sequence']],
      ['layer.attention.probabilities', ['batch', heads, 'sequence', 'sequence'], 0.3],
    ])
    return withGraph({ changed }, (run) =>
      fc.assert(
        fc.asyncProperty(examples, async (batch) => {
          const sequence = Math.max(...batch.map(lengthOf))
          const slots = (example: Example, part: 'key' | 'value'): readonly number[] => [
            ...example[part],
            ...upTo(sequence - lengthOf(example)).flatMap(() => batch[0]?.[part].slice(0, hidden) ?? []),
          ]
          const turned = batch.map((example) => ({
            query: example.query,
            key: slots(example, 'key').map((x) => -x),
            value: slots(example, 'value').map((x) => 35 * x),
          }))
          assertClose(resultOf(await run(feedsOf(batch)), 'changed'), turned.flatMap(naiveAttention), {
            relative: findBound('cpu', 'float64'),
            name: 'context',
          })
        }),
        { seed: SEED, numRuns: 15 },
      ),
    )
  })
})
