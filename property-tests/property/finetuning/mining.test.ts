/** Mined negatives are the nearest second texts that are no answer and not too near, whatever the order of the pairs. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pairMining } from '../../../finetuning/tasks/embeddings/mining.js'
import type { PairExample } from '../../../finetuning/tasks/embeddings/objective.js'
import { SEED } from '../../support/seed.js'

const unit = (angle: number): readonly number[] => [Math.cos(angle), Math.sin(angle)].map(Math.fround)

/** first, second: the texts, each with a vector of its own, so that equal texts have equal vectors */
const drawn = fc.array(fc.record({ first: fc.integer({ min: 0, max: 6 }), second: fc.integer({ min: 0, max: 12 }) }), {
  minLength: 1,
  maxLength: 30,
})

it(`are found by the definition (seed ${SEED})`, () =>
  fc.assert(
    fc.property(drawn, fc.double({ min: 0.1, max: 2, noNaN: true }), (rows, spread) => {
      const [a, b] = [rows.map(({ first }) => unit(first * spread)), rows.map(({ second }) => unit(1 + second * spread))]
      const cosine = (i: number, j: number): number => a[i]![0]! * b[j]![0]! + a[i]![1]! * b[j]![1]!
      const examples = rows.map(
        ({ first, second }, row): PairExample => ({ inputIds: [first, 50, 50 + second], ends: [1, 3], score: NaN, row }),
      )
      const found = pairMining.find(
        examples,
        rows.map((_, i) => [...a[i]!, ...b[i]!]),
      )
      found.forEach((other, i) => {
        const allowed = rows.flatMap(({ second }, j) => {
          const isRight = rows.some((row) => row.first === rows[i]!.first && row.second === second)
          return isRight || cosine(i, j) >= 0.95 * cosine(i, i) ? [] : [cosine(i, j)]
        })
        if (other < 0) expect(allowed).toEqual([])
        else expect(cosine(i, other)).toBe(Math.max(...allowed))
      })
    }),
    { seed: SEED, numRuns: 200 },
  ))

it('take the place of the third text, which is the second one where there is none', () => {
  const examples = [0, 1].map((i): PairExample => ({ inputIds: [i, 10 + i, 10 + i], ends: [1, 2, 3], score: NaN, row: i }))
  const mined = pairMining.attach({ length: 2, at: (i) => examples[i] }, [1, -1])
  expect([0, 1].map((i) => Array.from(mined.at(i)?.inputIds ?? []))).toEqual([
    [0, 10, 11],
    [1, 11, 11],
  ])
  expect(pairMining.asked(examples[0]!)).toMatchObject({ inputIds: Int32Array.from([0, 10]), ends: [1, 2] })
})
