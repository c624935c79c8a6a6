/** The pages of the paper's Tables 3 and 4: ablations, and the cost of whole runs. */
import { describe, expect, it } from 'vitest'
import { cellId } from '../../../evaluation/glue/plan.js'
import { type Result, sweepRuns, tableOf } from './storedRuns.js'
import { spread } from './statistics.js'
import { seeds, scoreIn, encoders, pairsOf, differenceCells } from './gluePairs.js'

describe('the tables of Table 3', () => {
  const on = ['mrpc', 'stsb', 'cola'] as const
  const runs = sweepRuns('glue-embedded')

  it('have scores and densities of SaLoRA and both ablations', () => {
    expect(tableOf('table-3', 'scores')).toEqual(
      ['salora', 'salora, λ = 0', 'salora, β = 0'].map((row) => [
        row,
        ...on.flatMap((task) => {
          const densities = seeds.map(
            (seed) => runs.find(({ cell }) => cell === cellId({ task, row, seed }))?.result.expectedDensity ?? NaN,
          )
          return [spread(seeds.map((seed) => scoreIn(runs, task, row, seed))), spread(densities, 2)]
        }),
      ]),
    )
  })

  it("have SaLoRA's differences from both ablations", () => {
    expect(tableOf('table-3', 'differences')).toEqual(
      ['salora, λ = 0', 'salora, β = 0'].map((row) => [row, ...differenceCells(pairsOf(encoders[0], 'salora', row, on))]),
    )
  })
})

it('the table of Table 4 has seconds and memory of whole runs, and SaLoRA takes at most 3 % longer than LoRA', () => {
  const runs = sweepRuns('table4')
  const one = (method: string, batch: number): Result => {
    const id = cellId({ task: 'mrpc', row: `${method}, batch ${batch}`, seed: 0 })
    const [run, second] = runs.filter(({ cell }) => cell.startsWith(id.slice(0, -1)))
    expect(second).toBeUndefined()
    return run!.result
  }
  expect(tableOf('table-4', 'runs')).toEqual(
    [16, 32, 64].map((batch) => {
      const [lora, salora] = [one('lora', batch), one('salora', batch)]
      expect(salora.seconds / lora.seconds).toBeLessThanOrEqual(1.03)
      return [
        ...[batch, Math.round(lora.seconds), Math.round(salora.seconds)].map(String),
        (salora.seconds / lora.seconds).toFixed(2),
        ...[lora, salora].map(({ peakMemoryBytes }) => `${(peakMemoryBytes / 1e9).toFixed(2)} GB`),
      ]
    }),
  )
})
