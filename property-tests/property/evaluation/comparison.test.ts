/** The table of a comparison: against sums by hand, and against the tables stored with the published runs. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseSettings } from '../../../accelerated/training/settings.js'
import { compare, comparisonTable, type ComparedRun } from '../../../evaluation/studies/comparison.js'
import { finetuneJob } from '../../../finetuning/runs/finetuneJob.js'
import { fixtures } from '../../golden/golden.js'
import type { RunOptions, RunResult } from '../../../finetuning/runs/run.js'

const tiny = join(fixtures, 'bert')

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

describe('the table of a comparison', () => {
  it('has the means of the last and the best scores, with sample deviations, which are 0 for a single run', () => {
    // 80 and 90: mean 85, deviation √(25 + 25) = 7.07; at best 90 and 90
    const [, , two, one] = comparisonTable([run('two', 0.8, 0.9), run('two', 0.9), run('one', 0.75)]).split('\n')
    expect(two).toBe('| two | 85.0 ± 7.1 | 90.0 ± 0.0 | – | – | 10 | 2 |')
    expect(one).toBe('| one | 75.0 ± 0.0 | 75.0 ± 0.0 | – | – | 10 | 1 |')
  })

  it('equals the published table for the published runs', () => {
    const { table, runs } = JSON.parse(readFileSync('evaluation/results/bases.json', 'utf8')) as {
      readonly table: ReadonlyArray<string>
      readonly runs: ReadonlyArray<RunResult & { readonly variant: string }>
    }
    expect(comparisonTable(runs.map((result) => ({ variant: result.variant, seed: result.seed, result }))).split('\n')).toEqual(table)
  })
})

describe('the results of a comparison', () => {
  it('keep seeds that nobody asks for today, unless their variant has other settings by now', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'salora-compared-'))
    const results = join(folder, 'results.json')
    const published = JSON.parse(readFileSync('evaluation/results/bases.json', 'utf8')) as { readonly runs: ReadonlyArray<RunResult> }
    const started: unknown[] = []
    const run = async ({ settings }: RunOptions): Promise<RunResult> => {
      started.push(settings.seed)
      const { variant: _, ...result } = published.runs[0] as RunResult & { readonly variant: string }
      return { ...result, seed: settings.seed, output: '' }
    }
    const compared = async (maxSteps: number, seed: number) => {
      const options = { model: tiny, task: { task: 'none' }, settings: parseSettings({ method: 'lora', maxSteps }) }
      await compare(
        { variants: [{ name: 'lora', options }], seeds: [seed], folder, results, command: 'a test', jobs: 1 },
        () => undefined,
        run,
      )
      return (JSON.parse(readFileSync(results, 'utf8')) as { readonly runs: ReadonlyArray<RunResult> }).runs.map(({ seed: of }) => of)
    }
    try {
      expect(await compared(1, 0)).toEqual([0])
      expect(await compared(1, 1)).toEqual([1, 0])
      expect(await compared(2, 1)).toEqual([1]) // seed 0 had one step
      const stored = JSON.parse(readFileSync(results, 'utf8')) as { readonly settings: { readonly lora: { readonly deviceId?: number } } }
      const { deviceId, ...older } = stored.settings.lora // as a version before --device-id wrote it
      writeFileSync(results, JSON.stringify({ ...stored, settings: { lora: older } }))
      expect([deviceId, await compared(2, 1)]).toEqual([0, [1]])
      expect(started).toEqual([0, 1, 1])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('a stopped comparison', () => {
  type Results = { readonly runs: ReadonlyArray<{ readonly variant: string; readonly seed: number; readonly last: unknown }> }

  it('resumes from its file of results, and repeats only runs whose settings or model changed', { timeout: 300_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'salora-comparison-'))
    const results = join(folder, 'results.json')
    const texts = join(folder, 'texts.tsv')
    writeFileSync(texts, 'text\tlabel\nso good\tyes\nso bad\tno\nnot good\tno\nnot bad\tyes\n')
    const started: string[] = []
    const model = join(folder, 'model')
    const comparison = (maxSteps: number, jobs = 1, base = tiny) => ({
      variants: ['lora', 'full'].map((method) => ({
        name: method,
        options: {
          model: base,
          task: { task: texts, evalData: texts },
          settings: parseSettings({ method, maxSteps: method === 'lora' ? maxSteps : 1, batchSize: 2, maxLength: 32 }),
        },
      })),
      seeds: [0, 1],
      folder: join(folder, 'runs'),
      results,
      command: 'a test',
      jobs,
    })
    const run = async (options: RunOptions): Promise<RunResult> => {
      started.push(`${options.settings.method}-${options.settings.seed}`)
      const events = finetuneJob(options, new AbortController().signal)
      for (;;) {
        const next = await events.next()
        if (next.done === true) return next.value
      }
    }
    try {
      const complete = await compare(comparison(1, 2), () => undefined, run)
      expect(complete.map(({ variant, seed }) => `${variant}-${seed}`)).toEqual(['lora-0', 'full-0', 'lora-1', 'full-1'])
      const written = JSON.parse(readFileSync(results, 'utf8')) as Results
      writeFileSync(
        results,
        JSON.stringify({ ...written, runs: written.runs.filter(({ variant, seed }) => variant === 'lora' || seed === 0) }),
      )

      started.length = 0
      const resumed = await compare(comparison(1), () => undefined, run)
      expect(started).toEqual(['full-1'])
      expect(resumed.map(({ result }) => result.last)).toEqual(complete.map(({ result }) => result.last))

      // runs that this call does not request are kept: they may have taken days
      await compare({ ...comparison(1), variants: comparison(1).variants.slice(1), seeds: [1] }, () => undefined, run)
      const kept = (JSON.parse(readFileSync(results, 'utf8')) as Results).runs.map(({ variant, seed }) => `${variant}-${seed}`)
      expect(kept.sort()).toEqual(['full-0', 'full-1', 'lora-0', 'lora-1'])
      expect(started).toEqual(['full-1'])

      started.length = 0
      await compare(comparison(2), () => undefined, run)
      expect(started).toEqual(['lora-0', 'lora-1'])

      // another model of the same name is another variant
      cpSync(tiny, model, { recursive: true })
      const head = join(model, 'tokenizer_config.json')
      writeFileSync(head, readFileSync(head, 'utf8').replace(/\n?$/, ' \n'))
      started.length = 0
      await compare(comparison(2, 1, model), () => undefined, run)
      expect(started).toEqual(['lora-0', 'full-0', 'lora-1', 'full-1'])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
