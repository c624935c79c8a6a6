/**
 * Comparisons: the same task under several variants and seeds, one table of means and deviations. Each finished run is written into the
 * results at once, so a stopped comparison can resume, on another machine too.
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import pMap from 'p-map'
import { mean, sampleStandardDeviation } from 'simple-statistics'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { modelDigests } from '../../accelerated/checkpoints/modelDigests.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseSettings } from '../../accelerated/training/settings.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { finetune } from '../../finetuning/runs/finetune.js'
import { isLowerBetter } from '../../finetuning/metrics/index.js'
import type { RunOptions, RunResult } from '../../finetuning/runs/run.js'
import { parseRunResult, runFileLimit } from '../../finetuning/runs/runFiles.js'

export type Variant = { readonly name: string; readonly options: Omit<RunOptions, 'output' | 'resume'> }
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
  run: (options: RunOptions) => Promise<RunResult> = runInWorker,
): Promise<ReadonlyArray<ComparedRun>> => {
  const { variants, seeds, folder, jobs, results } = comparison
  const settings = new Map<string, StoredSettings>()
  for (const { name, options } of variants) settings.set(name, await storedSettings(options))
  const earlier = await storedComparison(results)
  const isSame = (name: string): boolean => {
    const stored = earlier.settings[name]
    return stored !== undefined && JSON.stringify(withDefaults(stored)) === JSON.stringify(settings.get(name))
  }
  // Variants and seeds that are not asked for today stay in the file; of a variant that is another by now, nothing does.
  const others = earlier.runs.filter(({ variant, seed }) => !settings.has(variant) || (isSame(variant) && !seeds.includes(seed)))
  const finished = new Map(earlier.runs.filter(({ variant }) => isSame(variant)).map((stored) => [key(stored), stored]))
  const requested = seeds.flatMap((seed) => variants.map(({ name, options }) => ({ variant: name, options, seed })))
  const compared = (): ReadonlyArray<ComparedRun> => requested.flatMap((cell) => finished.get(key(cell)) ?? [])
  const write = (): Promise<void> =>
    writeComparison(comparison, { ...earlier.settings, ...Object.fromEntries(settings) }, [...compared(), ...others])
  await pMap(
    requested.filter((cell) => !finished.has(key(cell))),
    async ({ variant, options, seed }) => {
      const output = join(folder, `${variant}-${seed}`)
      await makeFolder(folder)
      await rm(output, { recursive: true, force: true })
      const result = await run({ ...options, output, resume: false, settings: { ...options.settings, seed } })
      const ended = { variant, seed, result }
      finished.set(key(ended), ended)
      await write()
      const retained = result.retainedDensity == null ? '' : `, retained ${result.retainedDensity.toFixed(3)}`
      log(`${variant}, seed ${seed}: ${JSON.stringify(result.last.scores)}${retained}, ${result.seconds.toFixed(0)} s`)
    },
    { concurrency: jobs },
  )
  await write()
  return compared()
}

const key = ({ variant, seed }: Pick<ComparedRun, 'variant' | 'seed'>): string => `${variant}, seed ${seed}`

const runInWorker = async (options: RunOptions): Promise<RunResult> => {
  for await (const event of finetune(options)) if (event.kind === 'result') return event.result
  throw new Error(`compare: expected a result of ${options.output}, got none`)
}

/** A Markdown table: mean ± standard deviation of the last and the best evaluation. The best one is chosen on the rows that it is scored on. */
export const comparisonTable = (runs: ReadonlyArray<ComparedRun>): string => {
  const names = [...new Set(runs.map(({ variant }) => variant))]
  // those that every run was scored by; a loss is no share
  const metrics = Object.keys(runs[0]?.result.last.scores ?? {}).filter(
    (name) => !isLowerBetter(name) && runs.every(({ result }) => name in result.last.scores),
  )
  const rows = names.map((name) => {
    const results = runs.filter(({ variant }) => variant === name).map(({ result }) => result)
    const last = metrics.map((metric) => spread(results.map((r) => 100 * (r.last.scores[metric] ?? NaN))))
    const best = metrics.map((metric) => spread(results.map((r) => 100 * ((r.best ?? r.last).scores[metric] ?? NaN))))
    const densities = results.flatMap((r) => (r.expectedDensity == null ? [] : [r.expectedDensity]))
    const retained = results.flatMap((r) => (r.retainedDensity == null ? [] : [r.retainedDensity]))
    return [
      name,
      ...last,
      ...best,
      densities.length === 0 ? '–' : range(densities),
      retained.length === 0 ? '–' : range(retained),
      `${Math.round(mean(results.map((r) => r.retainedParameters ?? r.trainableParameters['adapter'] ?? NaN)))}`,
      `${results.length}`,
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

/** A single run has a deviation of 0. */
const spread = (values: number[]): string =>
  `${mean(values).toFixed(1)} ± ${(values.length < 2 ? 0 : sampleStandardDeviation(values)).toFixed(1)}`
const range = (values: ReadonlyArray<number>): string => `${Math.min(...values).toFixed(3)} … ${Math.max(...values).toFixed(3)}`

/** What the runs of a variant have in common: all settings but the seed, and the model by its files. */
type StoredSettings = Readonly<Record<string, unknown>>

const storedSettings = async ({ model, settings: { seed: _, ...settings } }: Variant['options']): Promise<StoredSettings> => {
  const { folder } = await resolveModel(model)
  return { ...settings, model: await modelDigests(await openModelFolder(folder)) }
}

/** A setting that came after the stored runs had its default in them. */
const withDefaults = (stored: StoredSettings): StoredSettings => {
  const { seed: _, ...defaults } = parseSettings({ method: stored['method'] })
  return { ...defaults, ...stored }
}

const resultsSchema = z.looseObject({
  settings: z.record(z.string().max(1000), z.looseObject({})).default({}),
  runs: z.array(z.looseObject({ variant: z.string().max(1000), seed: z.int().min(0) })).max(100_000),
})

export type StoredComparison = { readonly settings: Readonly<Record<string, StoredSettings>>; readonly runs: ReadonlyArray<ComparedRun> }

/** What the file of results has; nothing where there is none. @throws InputError for another file */
export const storedComparison = async (file: string): Promise<StoredComparison> => {
  if (!existsSync(file)) return { settings: {}, runs: [] }
  const { settings, runs } = validate(resultsSchema, parseJson(await readText(file, runFileLimit), file), file, 'results')
  return {
    settings,
    runs: runs.map(({ variant, seed, ...facts }) => ({
      variant,
      seed,
      result: parseRunResult(JSON.stringify({ ...facts, seed, output: '' }), `${file}: ${key({ variant, seed })}`),
    })),
  }
}

/** Results beside their table: everything that a reader needs to check a number, and that a later comparison needs to resume. */
const writeComparison = async (
  { results, command }: Comparison,
  settings: StoredComparison['settings'],
  runs: ReadonlyArray<ComparedRun>,
): Promise<void> => {
  const facts = runs.map(({ variant, seed, result: { output: _output, ...result } }) => ({ variant, ...result, seed }))
  const document = { command, table: comparisonTable(runs).split('\n'), settings, runs: facts }
  await makeFolder(dirname(results))
  await writeFileAtomically(results, `${JSON.stringify(document, null, 2)}\n`)
}
