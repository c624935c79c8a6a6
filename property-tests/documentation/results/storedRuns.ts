/** The stored runs of the results, and the tables of their pages. */
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { resultsFolder } from '../../../reporting/results/renderPages.js'

export type Result = {
  readonly last: { readonly scores: Readonly<Record<string, number>> }
  readonly retainedDensity?: number | null
  readonly expectedDensity?: number | null
  readonly targetDensity?: number | null
  readonly retainedParameters?: number
  readonly ranks?: Readonly<Record<string, number>>
  readonly trainableParameters: Readonly<Record<string, number>>
  readonly seconds: number
  readonly peakMemoryBytes: number
}
export type SweepRun = {
  readonly cell: string
  readonly config: { readonly settings: { readonly seed: number; readonly retain?: string; readonly control?: string } }
  readonly result: Result
}
export type ComparedRun = Result & { readonly variant: string; readonly seed: number }

export const stored = <Content>(name: string): Content => JSON.parse(readFileSync(`evaluation/results/${name}.json`, 'utf8')) as Content
export const sweepRuns = (name: string): ReadonlyArray<SweepRun> => stored<{ readonly runs: ReadonlyArray<SweepRun> }>(name).runs

/** The rows of a generated table, without its header, as cells. */
export const tableOf = (page: string, region: string): ReadonlyArray<ReadonlyArray<string>> => {
  const text = readFileSync(`${resultsFolder}/${page}.md`, 'utf8')
  const [, content = ''] = new RegExp(`<!-- generated: ${region} -->\\n([\\s\\S]*?)\\n<!-- end -->`).exec(text) ?? []
  return content
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .slice(2, -2)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    )
}

/** A run without a budget has no target. @param gated whether gates set the density */
export const expectBudgetKept = ({ targetDensity, expectedDensity, retainedDensity }: Result, run: string, gated = true): void => {
  if (targetDensity == null) return
  if (gated) expect(Math.abs((expectedDensity ?? NaN) - targetDensity), run).toBeLessThanOrEqual(0.02)
  expect(retainedDensity, run).toBeLessThanOrEqual(targetDensity)
  expect(retainedDensity, run).toBeGreaterThan(targetDensity - 0.01)
}
