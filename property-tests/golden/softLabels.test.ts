/** The loss of soft labels is torch's CrossEntropyLoss with probabilities, in both derivations, and so are its slopes. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { gradient } from '../../accelerated/graph/gradient.js'
import { input } from '../../accelerated/graph/operators.js'
import { softCrossEntropySum } from '../../accelerated/objectives/losses.js'
import { weighedShares } from '../../accelerated/objectives/sequenceClassification.js'
import { softLabelReader } from '../../finetuning/data/softLabels.js'
import { softCrossEntropy, softCrossEntropyVjp, tensor } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, float64, resultOf } from '../support/runGraph.js'
import { fixtures } from './golden.js'

type Case = {
  readonly logits: readonly (readonly number[])[]
  readonly teacher: readonly (readonly number[])[]
  readonly temperature: number
  readonly weights: readonly number[] | null
  readonly loss: number
  readonly gradient: readonly number[]
}
const { cases } = JSON.parse(readFileSync(join(fixtures, 'soft_labels.json'), 'utf8')) as { readonly cases: readonly Case[] }

describe.each(cases)('logits of a teacher at temperature $temperature', ({ logits, teacher, temperature, weights, ...golden }) => {
  const shape = [logits.length, logits[0]?.length ?? 0]
  const reader = softLabelReader('teacher.jsonl', true)
  const shares = teacher.map((row, i) => reader.read(JSON.stringify(Object.fromEntries(row.map((z, k) => [`class ${k}`, z]))), i) ?? [])
  const weigh = weighedShares(weights ?? undefined, temperature)
  const p = shares
    .flatMap((row) => weigh({ inputIds: [], label: 0, row: 0, shares: row.map(([, share], k) => [k, share]) }))
    .map(([, x]) => x)

  it('have the loss and the slopes of torch in the reference', () => {
    const [z, P] = [tensor(shape, logits.flat()), tensor(shape, p)]
    assertClose([softCrossEntropy(z, P, temperature)], [golden.loss], { relative: 1e-12 })
    assertClose(softCrossEntropyVjp(z, P, temperature, 1).data, golden.gradient, { relative: 1e-10, absolute: 1e-14 })
  })

  it('have the loss and the slopes of torch in the graph', async () => {
    const z = input('z', shape, 'float64')
    const loss = softCrossEntropySum(z, input('p', shape, 'float64'), temperature)
    const [slope] = gradient(loss, [z])
    const results = await evaluate({ loss, slope: slope ?? loss }, { z: float64(logits.flat(), shape), p: float64(p, shape) })
    const rows = logits.length
    assertClose([(resultOf(results, 'loss')[0] ?? NaN) / rows], [golden.loss], { relative: 1e-12 })
    assertClose(
      resultOf(results, 'slope').map((x) => x / rows),
      golden.gradient,
      { relative: 1e-10, absolute: 1e-14 },
    )
  })
})

it('the fixture has class weights and temperatures', () => {
  expect(cases.map(({ temperature, weights }) => [temperature, weights !== null])).toEqual([
    [1, false],
    [2, false],
    [3.5, true],
  ])
})
