/** The page of every method on GLUE, and that each method's learning rate is the best on held-out rows. */
import { describe, expect, it } from 'vitest'
import { cellId } from '../../../evaluation/glue/plan.js'
import { type Result, sweepRuns, tableOf } from './storedRuns.js'
import { sum, mean, spread, overall } from './statistics.js'
import { metrics, tasks, seeds, scoreIn, encoders, pairsOf } from './gluePairs.js'

const embeddedOnly = ['lora-4:learning-rate=3e-4', 'salora:learning-rate=3e-4:orthogonality=sum']
const everyMethod = [
  'lora',
  'lora-4',
  'salora',
  'lora:learning-rate=3e-4',
  'lora-4:learning-rate=3e-4',
  'salora:learning-rate=3e-4',
  'salora:learning-rate=3e-4:orthogonality=sum',
  'full:learning-rate=1e-4',
  'adalora:learning-rate=3e-3',
  'houlsby:learning-rate=1e-3',
  'pfeiffer:learning-rate=3e-3',
  'prefix:learning-rate=3e-3',
  'prompt:learning-rate=3e-3',
]
/** Parameters that a run ends with, without its head. */
const sizeOf = ({ retainedParameters, trainableParameters }: Result): number =>
  retainedParameters ?? sum(Object.entries(trainableParameters).flatMap(([name, count]) => (name === 'head' ? [] : [count])))

describe.each(encoders)('the tables of every method on $file', (encoder) => {
  const runs = sweepRuns(encoder.file)
  const rows = everyMethod.filter((row) => encoder.region === 'embedded' || !embeddedOnly.includes(row))
  const rateOf = (row: string): string => /learning-rate=([^:]+)/.exec(row)?.[1] ?? '1e-3'
  const titleOf = (row: string): string => row.replace(/:learning-rate=[^:]+/, '').replace(':', ', ')

  it("have each row's size, its rate and whether it was chosen, its scores and their mean", () => {
    expect(tableOf('every-method', `${encoder.region}-scores`)).toEqual(
      rows.map((row) => {
        const cells = tasks.flatMap((task) => seeds.map((seed) => cellId({ task, row, seed })))
        const sizes = runs.filter(({ cell }) => cells.includes(cell)).map(({ result }) => sizeOf(result))
        expect(sizes.length).toBe(tasks.length * seeds.length)
        const scores = tasks.map((task) => seeds.map((seed) => scoreIn(runs, task, row, seed)))
        return [
          titleOf(row),
          `${rateOf(row)} (${row.includes('learning-rate') ? 'chosen' : 'fixed'})`,
          Math.round(mean(sizes)).toLocaleString('en'),
          ...scores.map((of) => spread(of)),
          mean(scores.flat()).toFixed(1),
        ]
      }),
    )
  })

  it("have SaLoRA's differences from each row at both of its rates", () => {
    expect(tableOf('every-method', `${encoder.region}-differences`)).toEqual(
      rows.map((row) => [
        `${titleOf(row)}, ${rateOf(row)}`,
        ...['salora', 'salora:learning-rate=3e-4'].flatMap((salora) =>
          salora === row ? ['–', '–'] : overall(pairsOf(encoder, salora, row).map(mean)),
        ),
      ]),
    )
  })
})

/** By rate, the mean of SST-2's and CoLA's held-out scores of a method, where both were tried. */
const heldOut = (method: string): ReadonlyMap<number, number> => {
  const scores = (task: 'cola' | 'sst2'): ReadonlyMap<number, number> =>
    new Map(
      sweepRuns('glue-embedded').flatMap(({ cell, result }) => {
        const rate = new RegExp(`^${task}\\.${method}\\.grid-train-(.+)\\.seed-0$`).exec(cell)
        return rate === null ? [] : [[Number(rate[1]), 100 * (result.last.scores[metrics[task]] ?? NaN)] as const]
      }),
    )
  const cola = scores('cola')
  return new Map([...scores('sst2')].flatMap(([rate, score]) => (cola.has(rate) ? [[rate, mean([score, cola.get(rate) ?? NaN])]] : [])))
}

it.each(everyMethod.filter((row) => /^\w+:learning-rate=[^:]+$/.test(row)))(
  'the rate of %s is the best on held-out rows of those tried on both tasks, and bold in the table of held-out scores',
  (row) => {
    const [method = '', rate = ''] = row.split(':learning-rate=')
    const means = heldOut(method)
    expect(means.size).toBeGreaterThanOrEqual(3)
    const best = [...means].reduce((one, other) => (other[1] > one[1] ? other : one))
    expect(best[0]).toBe(Number(rate))
    const line = tableOf('learning-rate', 'held-out').find(([name]) => name === method) ?? []
    expect(line).toContain(`**${best[1].toFixed(1)}**`)
    for (const [tried, score] of means) if (tried !== best[0]) expect(line).toContain(score.toFixed(1))
  },
)
