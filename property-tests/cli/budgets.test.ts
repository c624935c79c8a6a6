/** Budgets of SaLoRA: one below a triplet is refused, one that keeps none gives an empty adapter, and metrics.jsonl has the ranks as gates close. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { summaryText } from '../../cli/format/summary.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { runJob } from './jobRun.js'
import { toyFolder, toyTrain } from './toyFolder.js'

const cwd = toyFolder('budget')

const words = [...toyTrain, '--set', 'gate-start=0.2,gate-end=0.5', '--max-steps', '6', '--batch-size', '8', '--quiet', '--json']
const train = (output: string, ...flags: readonly string[]) => saloraIn([...words, '--output', output, ...flags], { cwd })

describe.concurrent('a budget below one triplet', () => {
  // 2 layers of 4 matrices 16 × 16 and 2 of 16 × 32, each of rank 8: 3,584 parameters in 96 triplets, the smallest of 32
  it('is avoided by the density in the error, which leaves one triplet', async () => {
    const { code, stdout } = await train('smallest', '--density', '0.00893')
    expect(code).toBe(0)
    const { ranks = {}, retainedParameters } = JSON.parse(stdout) as RunResult
    expect([Object.values(ranks).reduce((a, b) => a + b, 0), retainedParameters]).toEqual([1, 32])
  })
})

describe('an empty adapter', () => {
  it('is saved, scored, used for predictions and merged like the model with its trained head', async () => {
    // with so low a γ every gate is shut from its start, and the paper's rule keeps none
    const { code, stdout, stderr } = await train('none', '--set', 'retain=paper,gamma=-500')
    expect([code, stderr.replace(/^warning: .*\n/gm, '')]).toEqual([0, ''])
    const result = JSON.parse(stdout) as RunResult
    expect([result.retainedDensity, result.retainedParameters]).toEqual([0, 0])
    expect(Object.values(result.ranks ?? {}).every((rank) => rank === 0)).toBe(true)
    expect(JSON.parse(await readFile(join(cwd, 'none', 'adapter', 'adapter_config.json'), 'utf8'))).toMatchObject({
      target_modules: ['roberta.encoder.layer.0.attention.self.query'], // of zeros: PEFT refuses an adapter of nothing
    })
    const scored = await saloraIn(['evaluate', '--run', 'none', '--json', '--quiet'], { cwd })
    expect(JSON.parse(scored.stdout)).toMatchObject({ scores: result.last.scores })
    const merged = await saloraIn(['export', '--run', 'none', '--format', 'merged', '--output', 'merged', '--json'], { cwd })
    expect((JSON.parse(merged.stdout) as { readonly comparison: object }).comparison).toMatchObject({
      largestLogitDifference: expect.any(Number),
    })
    expect(merged.code).toBe(0)
  })
})

const folder = toyFolder('closing')
const at = (name: string): string => join(folder, name)

type Line = {
  readonly kind: string
  readonly step: number
  readonly density?: number | null
  readonly ranks?: Readonly<Record<string, number>>
}
const linesOf = async (run: string): Promise<readonly Line[]> => jsonLines<Line>(await readFile(join(run, 'metrics.jsonl'), 'utf8'))
const flags = (output: string, more: object) => ({
  method: 'salora',
  model: at('tiny'),
  task: at('toy.tsv'),
  maxLength: '16',
  batchSize: '4',
  device: 'cpu',
  evalSteps: '1000',
  output: at(output),
  ...more,
})
const window = { gateStart: '0.2', gateEnd: '0.5' }
/** d + k of a matrix of the tiny model, by its name: 16 in and out, but 32 within the feed-forward */
const cost = (name: string): number => (/intermediate|layer\.\d+\.output/.test(name) ? 48 : 32)

it('metrics.jsonl has expected ranks in gated steps only, which add up to the density, and the final ranks at the end', async () => {
  await runJob(flags('each', { ...window, maxSteps: '40', rank: '4', controlLearningRate: '0.2' }))
  const lines = await linesOf(at('each'))
  const rankEvents = lines.filter(({ kind }) => kind === 'ranks')
  expect(rankEvents.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => 9 + i)) // gates are sampled in steps 9 to 20
  for (const { step, ranks = {} } of rankEvents.slice(0, -1)) {
    const names = Object.keys(ranks)
    const share =
      names.reduce((sum, name) => sum + (ranks[name] ?? NaN) * cost(name), 0) / names.reduce((sum, name) => sum + 4 * cost(name), 0)
    const next = lines.find((line) => line.kind === 'step' && line.step === step + 1)
    expect(share, `after step ${step}`).toBeCloseTo(next?.density ?? NaN, 5)
  }
  const kept = lines.find(({ kind }) => kind === 'retained')
  expect(Object.keys(kept?.ranks ?? {})).toEqual(Object.keys(rankEvents[0]?.ranks ?? {}))
})

it('metrics.jsonl has the ranks of every hundredth step of a long run, and none for a method without gates', async () => {
  await runJob(flags('long', { ...window, maxSteps: '250', threads: '1' }))
  const ranks = (await linesOf(at('long'))).filter(({ kind }) => kind === 'ranks').map(({ step }) => step)
  expect(ranks).toEqual(Array.from({ length: 25 }, (_, i) => 51 + 3 * i)) // of steps 51 to 125 every third
  await runJob(flags('lora', { method: 'lora', maxSteps: '5' }))
  expect((await linesOf(at('lora'))).map(({ kind }) => kind)).not.toContain('ranks')
})

describe('the summary of a run', () => {
  const summaryOf = async (output: string, more: Readonly<Record<string, string>>): Promise<string> => {
    await runJob(flags(output, { maxSteps: '5', ...more }))
    const result = JSON.parse(await readFile(join(at(output), 'result.json'), 'utf8')) as RunResult
    return summaryText(result, null, { color: false })
  }
  it('has a table of ranks where the method chose them', async () => {
    expect(await summaryOf('chosen', window)).toMatch(/^ranks\n {2}layer +query/m)
  })
  it('has none where each matrix has the rank that was set, as with LoRA', async () => {
    expect(await summaryOf('set', { method: 'lora' })).not.toMatch(/^ranks/m)
  })
})
