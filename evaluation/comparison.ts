/** Comparisons: the same task under several variants and seeds, one table of means and deviations. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { mean, sampleStandardDeviation } from 'simple-statistics'
import { writeFileAtomically } from '../accelerated/files/atomicFile.js'
import type { FinetuneOptions, RunResult } from './run.js'
import { finetuneJob } from './finetuneJob.js'
import { readRunResult } from './storedRun.js'

export type Variant = { readonly name: string; readonly options: Omit<FinetuneOptions, 'output' | 'resume'> }
export type ComparedRun = { readonly variant: string; readonly seed: number; readonly result: RunResult }

/** Runs every variant with every seed, variants interleaved; a run whose result.json is there already is read, not repeated. */
export const compare = async (
  variants: ReadonlyArray<Variant>,
  seeds: ReadonlyArray<number>,
  folder: string,
  log: (line: string) => void,
): Promise<ReadonlyArray<ComparedRun>> => {
  const runs: ComparedRun[] = []
  await mkdir(folder, { recursive: true })
  for (const seed of seeds) {
    for (const { name, options } of variants) {
      const output = join(folder, `${name}-${seed}`)
      const result =
        (await readRunResult(output)) ?? (await run({ ...options, output, resume: false, settings: { ...options.settings, seed } }))
      runs.push({ variant: name, seed, result })
      log(
        `${name}, seed ${seed}: ${JSON.stringify(result.best?.scores ?? result.last.scores)}, density ${result.expectedDensity ?? '–'}, retained ${result.retainedDensity ?? '–'}, ${result.seconds.toFixed(0)} s`,
      )
    }
  }
  return runs
}

const run = async (options: FinetuneOptions): Promise<RunResult> => {
  await rm(options.output, { recursive: true, force: true })
  const events = finetuneJob(options, new AbortController().signal)
  for (;;) {
    const next = await events.next()
    if (next.done === true) return next.value
  }
}

/** The last evaluation (not the best, which would be chosen on the data it is reported on) and the best, mean ± standard deviation, as a Markdown table. */
export const comparisonTable = (runs: ReadonlyArray<ComparedRun>): string => {
  const names = [...new Set(runs.map(({ variant }) => variant))]
  const metrics = Object.keys(runs[0]?.result.last.scores ?? {})
  const rows = names.map((name) => {
    const own = runs.filter(({ variant }) => variant === name).map(({ result }) => result)
    const last = metrics.map((metric) => spread(own.map((r) => 100 * (r.last.scores[metric] ?? NaN))))
    const best = metrics.map((metric) => spread(own.map((r) => 100 * ((r.best ?? r.last).scores[metric] ?? NaN))))
    const densities = own.flatMap((r) => (r.expectedDensity == null ? [] : [r.expectedDensity]))
    const retained = own.flatMap((r) => (r.retainedDensity == null ? [] : [r.retainedDensity]))
    return [
      name,
      ...last,
      ...best,
      densities.length === 0 ? '–' : range(densities),
      retained.length === 0 ? '–' : range(retained),
      `${Math.round(mean(own.map((r) => r.retainedParameters ?? r.trainableParameters['adapter'] ?? NaN)))}`,
      `${own.length}`,
    ]
  })
  const header = [
    '',
    ...metrics.map((metric) => `${metric}, last epoch`),
    ...metrics.map((metric) => `${metric}, best epoch`),
    'C(Θ) at T_end',
    'retained share',
    'adapter parameters',
    'seeds',
  ]
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Of a single run the deviation is told as 0. */
const spread = (values: number[]): string =>
  `${mean(values).toFixed(1)} ± ${(values.length < 2 ? 0 : sampleStandardDeviation(values)).toFixed(1)}`
const range = (values: ReadonlyArray<number>): string => `${Math.min(...values).toFixed(3)} … ${Math.max(...values).toFixed(3)}`

/** Results beside their table: everything a reader needs to check a number of the README. */
export const writeComparison = async (file: string, command: string, runs: ReadonlyArray<ComparedRun>): Promise<void> => {
  await mkdir(join(file, '..'), { recursive: true })
  const facts = runs.map(({ variant, seed, result: { output: _output, ...result } }) => ({ variant, ...result, seed }))
  await writeFileAtomically(file, `${JSON.stringify({ command, table: comparisonTable(runs).split('\n'), runs: facts }, null, 2)}\n`)
}
