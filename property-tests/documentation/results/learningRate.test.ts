/** The page of the learning rate: SaLoRA and LoRA at the fixed rate and at the chosen one. */
import { describe, expect, it } from 'vitest'
import { sweepRuns, tableOf } from './storedRuns.js'
import { mean, overall } from './statistics.js'
import { tasks, seeds, scoreIn, encoders, type Encoder, pairsOf, differenceCells } from './gluePairs.js'

describe.each(encoders)('the tables of the learning rate for $file', (encoder) => {
  const [chosenSalora, chosenLora] = ['salora:learning-rate=3e-4', 'lora:learning-rate=3e-4'] as const

  it('have SaLoRA minus LoRA at both rates, what each gains by the chosen one, and on the embedded model the controls', () => {
    const comparisons: ReadonlyArray<readonly [string, string]> = [
      ['salora', 'lora'],
      [chosenSalora, chosenLora],
      [chosenLora, 'lora'],
      [chosenSalora, 'salora'],
      ...(encoder.region === 'embedded'
        ? ([
            ['lora-4:learning-rate=3e-4', chosenLora],
            [chosenSalora, 'lora-4:learning-rate=3e-4'],
            [`${chosenSalora}:orthogonality=sum`, chosenSalora],
            ['salora:orthogonality=sum', 'salora'],
          ] as const)
        : []),
    ]
    const unseen = { ...encoder, seen: [] } as unknown as Encoder
    expect(tableOf('learning-rate', `${encoder.region}-differences`).map((cells) => cells.slice(1))).toEqual(
      comparisons.map(([row, other]) =>
        differenceCells(pairsOf(row.startsWith('lora') && other.startsWith('lora') ? unseen : encoder, row, other)),
      ),
    )
  })

  it('have the mean scores of both methods at both rates', () => {
    const runs = sweepRuns(encoder.file)
    expect(tableOf('learning-rate', 'averages').map((cells) => cells[encoder.region === 'embedded' ? 1 : 2])).toEqual(
      ['salora', 'lora', chosenSalora, chosenLora].map((row) =>
        mean(tasks.flatMap((task) => seeds.map((seed) => scoreIn(runs, task, row, seed)))).toFixed(1),
      ),
    )
  })
})

it('the table of both learning rates has SaLoRA minus LoRA for each encoder and both', () => {
  const rows = [
    ['salora', 'lora'],
    ['salora:learning-rate=3e-4', 'lora:learning-rate=3e-4'],
  ].flatMap(([row = '', other = '']) => {
    const effects = encoders.map((encoder) => pairsOf(encoder, row, other).map(mean))
    return [...effects, tasks.map((_, i) => mean(effects.map((of) => of[i]!)))].map((of) => overall(of))
  })
  expect(tableOf('learning-rate', 'both').map((cells) => cells.slice(2))).toEqual(rows)
})

it('the table of other clusters has SaLoRA minus LoRA with a task on an encoder as unit, with and without the pairs that were seen', () => {
  const rows = [
    ['1e-3', 'salora', 'lora'],
    ['3e-4', 'salora:learning-rate=3e-4', 'lora:learning-rate=3e-4'],
  ].flatMap(([rate = '', row = '', other = '']) => {
    const of = (seen: boolean) =>
      encoders.map((encoder) => pairsOf(seen ? ({ ...encoder, seen: [] } as unknown as Encoder) : encoder, row, other).map(mean))
    return [false, true].flatMap((seen) => {
      const effects = of(seen)
      const byTask = tasks.map((_, i) => mean(effects.map((encoder) => encoder[i]!)))
      return [
        [rate, 'a task', '4', seen ? 'yes' : 'no', ...overall(byTask)],
        [rate, 'a task on one encoder', '8', seen ? 'yes' : 'no', ...overall(effects.flat())],
      ]
    })
  })
  expect(tableOf('learning-rate', 'clusters')).toEqual(rows)
})
