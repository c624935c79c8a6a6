/**
 * Comparisons: the same task under several variants and seeds, one table of means and deviations. Each finished run is written into the
 * results at once, so that a comparison of days goes on where it was stopped, on another machine too.
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import pMap from 'p-map'
import { mean, sampleStandardDeviation } from 'simple-statistics'
import { z } from 'zod'
import { writeFileAtomically } from '../accelerated/files/atomicFile.js'
import { makeFolder } from '../accelerated/files/makeFolder.js'
import { checked } from '../accelerated/files/checked.js'
import { parseJson, readText } from '../accelerated/files/jsonText.js'
import type { Settings } from '../accelerated/settings.js'
import { finetune } from './finetune.js'
import { isFalling } from './metrics/index.js'
import type { FinetuneOptions, RunResult } from './run.js'
import { parseRunResult, runFileLimit } from './storedRun.js'

export type Variant = { readonly name: string; readonly options: Omit<FinetuneOptions, 'output' | 'resume'> }
export type ComparedRun = { readonly variant: string; readonly seed: number; readonly result: RunResult }

export type Comparison = {
  readonly variants: ReadonlyArray<Variant>
  readonly seeds: ReadonlyArray<number>
  /** where runs have their folders while they last */
  readonly folder: string
  /** the file of results: what is in it with the same settings is not run again */
  readonly results: string
  /** what makes the file, for its readers */
  readonly command: string
  /** runs at a time, each with a thread of its own */
  readonly jobs: number
}

/** Runs every variant with every seed, seed by seed; runs are in that order whatever ended first. */
export const compare = async (
  comparison: Comparison,
  log: (line: string) => void,
  run: (options: FinetuneOptions) => Promise<RunResult> = runInWorker,
): Promise<ReadonlyArray<ComparedRun>> => {
  const { variants, seeds, folder, jobs } = comparison
  const wanted = seeds.flatMap((seed) => variants.map((variant) => ({ ...variant, seed })))
  const found = new Map<string, RunResult>()
  for (const { variant, seed, result } of await storedRuns(comparison)) found.set(key(variant, seed), result)
  const compared = (): ReadonlyArray<ComparedRun> =>
    wanted.flatMap(({ name, seed }) => {
      const result = found.get(key(name, seed))
      return result === undefined ? [] : [{ variant: name, seed, result }]
    })
  await pMap(
    wanted.filter(({ name, seed }) => !found.has(key(name, seed))),
    async ({ name, options, seed }) => {
      const output = join(folder, `${name}-${seed}`)
      await makeFolder(folder)
      await rm(output, { recursive: true, force: true })
      const result = await run({ ...options, output, resume: false, settings: { ...options.settings, seed } })
      found.set(key(name, seed), result)
      await writeComparison(comparison, compared())
      const retained = result.retainedDensity == null ? '' : `, retained ${result.retainedDensity.toFixed(3)}`
      log(`${name}, seed ${seed}: ${JSON.stringify(result.last.scores)}${retained}, ${result.seconds.toFixed(0)} s`)
    },
    { concurrency: jobs },
  )
  await writeComparison(comparison, compared())
  return compared()
}

const key = (variant: string, seed: number): string => `${variant}, seed ${seed}`

const runInWorker = async (options: FinetuneOptions): Promise<RunResult> => {
  for await (const event of finetune(options)) if (event.kind === 'result') return event.result
  throw new Error(`compare: expected a result of ${options.output}, found none`)
}

/** The last evaluation (not the best, which would be chosen on the data it is reported on) and the best, mean ± standard deviation, as a Markdown table. */
export const comparisonTable = (runs: ReadonlyArray<ComparedRun>): string => {
  const names = [...new Set(runs.map(({ variant }) => variant))]
  // those that every run was scored by; a loss is no share
  const metrics = Object.keys(runs[0]?.result.last.scores ?? {}).filter(
    (name) => !isFalling(name) && runs.every(({ result }) => name in result.last.scores),
  )
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

const resultsSchema = z.looseObject({
  settings: z.record(z.string().max(1000), z.looseObject({})).default({}),
  runs: z.array(z.looseObject({ variant: z.string().max(1000), seed: z.int().min(0) })).max(100_000),
})

/** Runs of the file of results whose settings are those of today's variants. */
const storedRuns = async ({ results, variants }: Comparison): Promise<ReadonlyArray<ComparedRun>> => {
  if (!existsSync(results)) return []
  const { settings, runs } = checked(resultsSchema, parseJson(await readText(results, runFileLimit), results), results, 'results')
  const same = new Set(
    variants.filter(({ name, options }) => JSON.stringify(settings[name]) === JSON.stringify(shared(options))).map(({ name }) => name),
  )
  return runs
    .filter(({ variant }) => same.has(variant))
    .map(({ variant, seed, ...facts }) => ({
      variant,
      seed,
      result: parseRunResult(JSON.stringify({ ...facts, seed, output: '' }), `${results}: ${key(variant, seed)}`),
    }))
}

/** The settings that a variant's runs have in common. */
const shared = ({ settings: { seed: _, ...settings } }: Variant['options']): Omit<Settings, 'seed'> => settings

/** Results beside their table: everything a reader needs to check a number of the README, and a later comparison to go on. */
const writeComparison = async ({ results, command, variants }: Comparison, runs: ReadonlyArray<ComparedRun>): Promise<void> => {
  const facts = runs.map(({ variant, seed, result: { output: _output, ...result } }) => ({ variant, ...result, seed }))
  const settings = Object.fromEntries(variants.map(({ name, options }) => [name, shared(options)]))
  const document = { command, table: comparisonTable(runs).split('\n'), settings, runs: facts }
  await makeFolder(dirname(results))
  await writeFileAtomically(results, `${JSON.stringify(document, null, 2)}\n`)
}
