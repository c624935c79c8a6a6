/** The table of a comparison: against sums done by hand, and against the tables that lie beside the published runs. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { comparisonTable, type ComparedRun } from '../../evaluation/comparison.js'
import type { RunResult } from '../../evaluation/run.js'

const run = (variant: string, accuracy: number, best: number | null = null): ComparedRun => ({
  variant,
  seed: 0,
  result: {
    last: { step: 9, scores: { accuracy } },
    best: best === null ? null : { step: 4, scores: { accuracy: best } },
    expectedDensity: null,
    retainedDensity: null,
    retainedParameters: 10,
  } as unknown as RunResult,
})

describe('a comparison', () => {
  it('tells the mean of the last and of the best scores, with the deviation of a sample, 0 of a single run', () => {
    // 80 and 90: mean 85, deviation √(25 + 25) = 7.07; at best 90 and 90
    const [, , two, one] = comparisonTable([run('two', 0.8, 0.9), run('two', 0.9), run('one', 0.75)]).split('\n')
    expect(two).toBe('| two | 85.0 ± 7.1 | 90.0 ± 0.0 | – | – | 10 | 2 |')
    expect(one).toBe('| one | 75.0 ± 0.0 | 75.0 ± 0.0 | – | – | 10 | 1 |')
  })

  it.each(['bases', 'mrpc'])('of the published runs of %s is the published table', (name) => {
    const { table, runs } = JSON.parse(readFileSync(`evaluation/results/${name}.json`, 'utf8')) as {
      readonly table: ReadonlyArray<string>
      readonly runs: ReadonlyArray<RunResult & { readonly variant: string }>
    }
    expect(comparisonTable(runs.map((result) => ({ variant: result.variant, seed: result.seed, result }))).split('\n')).toEqual(table)
  })
})
