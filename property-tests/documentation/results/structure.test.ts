/** The page of the structure: SaLoRA's scores, differences and ranks on GLUE, by runs that kept to their budget. */
import { describe, expect, it } from 'vitest'
import { cellId } from '../../../evaluation/glue/plan.js'
import { expectBudgetKept, sweepRuns, tableOf } from './storedRuns.js'
import { mean, spread, overall } from './statistics.js'
import { tasks, seeds, scoreIn, encoders, pairsOf, differenceCells } from './gluePairs.js'

const structureRows = ['lora', 'lora-4', 'salora:orthogonality=sum', 'salora:retain=random', 'salora:retain=magnitude']

describe.each(encoders)('the structure tables of $file', (encoder) => {
  const { region, file, layers } = encoder
  const runs = sweepRuns(file)

  it('have the mean and largest deviation of every row and task', () => {
    expect(tableOf('structure', `${region}-scores`)).toEqual(
      ['salora', ...structureRows].map((row) => [
        `\`${row}\``,
        ...tasks.map((task) => spread(seeds.map((seed) => scoreIn(runs, task, row, seed)))),
      ]),
    )
  })

  it("have SaLoRA's differences by task with t intervals, and over the tasks with an error clustered by task", () => {
    expect(tableOf('structure', `${region}-differences`)).toEqual(
      structureRows.map((row) => [`\`${row}\``, ...differenceCells(pairsOf(encoder, 'salora', row))]),
    )
  })

  it('have the mean ranks of each matrix and layer', () => {
    const ranks = tasks.flatMap((task) =>
      seeds.map((seed) => runs.find(({ cell }) => cell === cellId({ task, row: 'salora', seed }))?.result.ranks ?? {}),
    )
    const of = (part: RegExp): string =>
      mean(ranks.flatMap((one) => Object.entries(one).flatMap(([name, rank]) => (part.test(name) ? [rank] : [])))).toFixed(1)
    const numbers = Array.from({ length: layers }, (_, layer) => layer)
    const endings = ['self.query', 'self.key', 'self.value', 'attention.output.dense', 'intermediate.dense', '\\d.output.dense']
    const titles = ['query', 'key', 'value', 'attention output', 'up', 'down']
    expect(tableOf('structure', `${region}-ranks`)).toEqual([
      ...titles.map((title, i) => {
        const ending = endings[i]!.replace('\\d.', '')
        const inLayer = (layer: number | string): RegExp =>
          new RegExp(`layer\\.${layer}\\.${title === 'down' ? 'output\\.dense' : `.*${ending}`}$`)
        return [title, ...numbers.map((layer) => of(inLayer(layer))), of(inLayer('\\d+'))]
      }),
      ['all', ...numbers.map((layer) => of(new RegExp(`layer\\.${layer}\\.`))), of(/./)],
    ])
  })

  it('are of runs that kept to their budget', () => {
    for (const { cell, config, result } of runs) {
      const { control, retain } = config.settings
      // halves by magnitude have no gates, so they have no density
      if (control !== 'free') expectBudgetKept(result, cell, retain !== 'magnitude')
    }
  })
})

it('the structure table of both encoders has tasks as clusters, and each encoder counts the same', () => {
  expect(tableOf('structure', 'both-differences')).toEqual(
    structureRows.map((row) => {
      const [first, second] = encoders.map((encoder) => pairsOf(encoder, 'salora', row).map(mean))
      return [`\`${row}\``, ...overall(tasks.map((_, i) => mean([first![i]!, second![i]!])))]
    }),
  )
})
