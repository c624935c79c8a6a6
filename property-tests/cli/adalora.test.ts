/** AdaLoRA from flags to its adapter: rank reduction, rank patterns, and errors. It resumes and is exported with the other methods (methods.test.ts). */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { adalora } from '../../accelerated/methods/adalora/adalora.js'
import type { AdaloraPhase } from '../../accelerated/methods/adalora/phase.js'
import { errorReport } from '../../cli/terminal/reportError.js'
import { summaryText } from '../../cli/format/summary.js'
import { rankPatternOfRun } from '../../finetuning/use/rankPattern.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { jsonLines } from '../support/jsonLines.js'
import { runJob } from './jobRun.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('adalora')
let result: RunResult
const at = (...path: readonly string[]): string => join(cwd, ...path)
const flags = (output: string) => ({ config: at('settings.json'), model: at('tiny'), task: at('toy.tsv'), output: at(output) })
const matrices = 12
/** Steps 1 to 4 cut nothing, 5 to 10 all but the last: t_init = 3, T − t_final = 10 in steps that count from 0. */
const settings = {
  ...{ method: 'adalora', initR: 3, targetR: 1, loraAlpha: 6, loraDropout: 0.1, tinitRatio: 0.2, tfinalRatio: 0.375 },
  ...{
    ...{ maxSteps: 16, evalSteps: 4, saveSteps: 4, batchSize: 4, gradientAccumulationSteps: 2, maxLength: 16, learningRate: 0.02 },
    ...{ device: 'cpu', threads: 1 },
  },
}

beforeAll(async () => {
  await writeFile(at('settings.json'), JSON.stringify(settings))
  result = await runJob(flags('whole'))
})

const lines = async (run: string): Promise<readonly Readonly<Record<string, unknown>>[]> =>
  jsonLines<Readonly<Record<string, unknown>>>(await readFile(at(run, 'metrics.jsonl'), 'utf8'))

const messageOf = async (refused: Promise<unknown>): Promise<string> =>
  refused.then(
    () => 'no error',
    (error: unknown) => errorReport(error).line.replaceAll(cwd, '@'),
  )

describe('salora train --method adalora', () => {
  it('ends with the ranks of its budget in result.json, metrics.jsonl and the summary', async () => {
    const ranks = Object.values(result.ranks ?? {})
    expect([ranks.length, ranks.reduce((a, b) => a + b, 0)]).toEqual([matrices, matrices])
    expect(new Set(ranks).size).toBeGreaterThan(1) // it chose
    // of each layer: four matrices of 16 × 16, one of 32 × 16 and one of 16 × 32; A, B and E
    expect(result.trainableParameters['adapter']).toBe(3 * 2 * (4 * 33 + 2 * 49))
    expect(result).toMatchObject({ budget: matrices, ranksFixedAt: 11, stepsDone: 16 })
    const small = Object.entries(result.ranks ?? {}).filter(([name]) => /attention/.test(name))
    const retained = small.reduce((sum, [, rank]) => sum + 33 * rank, 0)
    expect(result.retainedParameters).toBe(retained + 49 * (matrices - small.reduce((sum, [, rank]) => sum + rank, 0)))
    expect(summaryText(result, null, { color: false })).toContain('budget      12 triplets, 12 left after step 11\n')

    const all = await lines('whole')
    const budgets = all.filter(({ kind }) => kind === 'step').map(({ budget }) => budget)
    expect(budgets).toEqual([36, 36, 36, 36, 27, 20, 16, 13, 12, 12, 12, 12, 12, 12, 12, 12])
    for (const { kind, orthogonality } of all) if (kind === 'step') expect(orthogonality).toBeGreaterThan(0)
    expect(all.filter(({ kind }) => kind === 'fixed')).toEqual([{ kind: 'fixed', step: 11, triplets: 12, ranks: result.ranks }])
    // what is not within the budget yet cannot be the best
    const eligible = all.flatMap((line) => (line['kind'] === 'evaluation' ? [[line['step'], line['eligible']]] : []))
    expect(eligible).toEqual([4, 8, 12, 16].map((step) => [step, step > 11]))
    expect(Object.keys(result.orthogonality ?? {})).toEqual(Object.keys(result.ranks ?? {}))
  })

  it('refuses a checkpoint with the phase of another run', () => {
    const matrices = [{ name: 'a', d: 2, k: 2, r: 2 }]
    const start: AdaloraPhase = { matrices, steps: null, fixed: null }
    const of = (change: Partial<AdaloraPhase>): string | undefined =>
      adalora.phases.validate?.({ ...start, steps: 9, ...change }, start, { step: 5, steps: 9 })?.expected
    expect(of({})).toBeUndefined()
    expect(of({ fixed: { step: 5, kept: [[true, false]] } })).toBeUndefined()
    expect(of({ matrices: [{ name: 'a', d: 2, k: 2, r: 1 }] })).toBe('the adapted matrices of its start')
    expect(of({ steps: 10 })).toBe('a phase of 9 steps')
    expect(of({ fixed: { step: 6, kept: [[true, false]] } })).toBe('ranks fixed within 5 steps')
    expect(of({ fixed: { step: 5, kept: [[true]] } })).toBe('each of its triplets kept or pruned')
    expect(of({ fixed: { step: 5, kept: [] } })).toBe('each of its triplets kept or pruned')
  })
})

describe('an AdaLoRA adapter', () => {
  const config = async (...path: readonly string[]) =>
    JSON.parse(await readFile(at(...path, 'adapter_config.json'), 'utf8')) as Readonly<Record<string, unknown>>

  it("stores the remaining triplets and the schedule of the run in PEFT's layout", async () => {
    const { tensors } = await readAdapter(at('whole', 'adapter'), await openModelFolder(at('tiny')))
    for (const [name, rank] of Object.entries(result.ranks ?? {}))
      expect([name, tensors.get(`${name}.A`)?.shape, tensors.get(`${name}.E`)?.data.every((e) => e !== 0)]).toEqual([
        name,
        [rank, /\d\.output/.test(name) ? 32 : 16],
        true,
      ])
    const { rank_pattern: pattern, target_modules: targets, ...rest } = await config('whole', 'adapter')
    expect(targets).toHaveLength(matrices)
    expect(
      Object.values(pattern as Record<string, boolean[]>)
        .flat()
        .filter(Boolean),
    ).toHaveLength(matrices)
    expect(rest).toMatchObject({
      ...{ peft_type: 'ADALORA', init_r: 3, target_r: 1, lora_alpha: 6, lora_dropout: 0.1 },
      ...{ total_step: 16, tinit: 3, tfinal: 6, deltaT: 1, beta1: 0.85, beta2: 0.85, orth_reg_weight: 0.5 },
    })
  })

  it('has all triplets if the run stopped before its first rank reduction', async () => {
    const { interrupted, ranks, ranksFixedAt } = await runJob(flags('stopped'), 2)
    expect([interrupted, ranksFixedAt, new Set(Object.values(ranks ?? {}))]).toEqual([true, null, new Set([3])])
    expect(await config('stopped', 'adapter')).toMatchObject({ rank_pattern: null, total_step: 16 })
    expect(await messageOf(rankPatternOfRun(at('stopped')))).toBe(
      '@/stopped/result.json: expected the ranks that a run found, got a run that ended before its ranks were fixed',
    )
  })

  it('gives a rank pattern that starts LoRA with its ranks and scale', async () => {
    const pattern = await rankPatternOfRun(at('whole'))
    const kept = Object.entries(result.ranks ?? {}).filter(([, rank]) => rank > 0)
    expect(pattern).toMatchObject({ r: 3, lora_alpha: 6, target_modules: kept.map(([name]) => name) })
    for (const [name, rank] of kept) expect([name, pattern.rank_pattern[name] ?? 3]).toEqual([name, rank])
    await writeFile(at('pattern.json'), JSON.stringify(pattern))
    const plain = { model: at('tiny'), task: at('toy.tsv'), output: at('plain'), method: 'lora', rankPattern: at('pattern.json') }
    const { ranks } = await runJob({ ...plain, maxSteps: '1', maxLength: '16', device: 'cpu' })
    expect(ranks).toEqual(Object.fromEntries(kept))
  })

  it.each([
    ['total_step', 3, 'tinit + tfinal below total_step 3, got 3 + 6'],
    ['total_step', null, 'an AdaLoRA configuration whose total_step is a whole number, got null'],
    ['lora_alpha', -1, 'an AdaLoRA configuration whose lora_alpha is a number above 0, got -1'],
    ['use_dora', true, 'an AdaLoRA configuration whose use_dora is false, got true'],
    ['rank_pattern', { 'roberta.pooler.lora_E': [true] }, 'a rank_pattern of adapted matrices, got "roberta.pooler.lora_E"'],
    [
      'rank_pattern',
      { 'roberta.encoder.layer.0.output.dense.lora_E': [true] },
      'rank_pattern.roberta.encoder.layer.0.output.dense.lora_E of init_r 3 triplets, got 1',
    ],
  ])('is refused if its configuration has %s %o', async (key, value, line) => {
    const folder = at(`bad-${key}-${String(JSON.stringify(value)).length}`)
    await cp(at('whole', 'adapter'), folder, { recursive: true })
    const file = join(folder, 'adapter_config.json')
    await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), [key]: value }))
    expect(await messageOf(readAdapter(folder, await openModelFolder(at('tiny'))))).toBe(`${file.replace(cwd, '@')}: expected ${line}`)
  })
})
