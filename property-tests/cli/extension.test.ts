/** Extending a finished run with --resume and a larger --epochs: it continues from its last step, and says that it is another run. */
import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { linearSchedule, countWarmupSteps } from '../../reference/training/schedules.js'
import type { RunConfig, RunResult } from '../../finetuning/run/run.js'
import { treeOf } from '../hostile/survival.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { toyFolder, toyTrain } from './toyFolder.js'

const cwd = toyFolder('extension')
const at = (...names: readonly string[]): string => join(cwd, ...names)
const ofModel = [...toyTrain.slice(1), '--batch-size', '6', '--threads', '1']
const train = (output: string, ...flags: readonly string[]) => saloraIn(['train', '--output', output, '--quiet', ...flags], { cwd })
const begin = (output: string, ...flags: readonly string[]) => train(output, ...ofModel, '--epochs', '2', ...flags) // 36 rows: 12 steps
const json = async <T>(output: string, file: string): Promise<T> => JSON.parse(await readFile(at(output, file), 'utf8')) as T
const resultOf = (output: string): Promise<RunResult> => json<RunResult>(output, 'result.json')
type Line = { readonly kind: string; readonly step: number; readonly learningRate?: number }
const lines = async (output: string): Promise<readonly Line[]> => jsonLines<Line>(await readFile(at(output, 'metrics.jsonl'), 'utf8'))
const adapter = (output: string): Promise<Buffer> => readFile(at(output, 'adapter', 'adapter_model.safetensors'))
const timeout = 120_000

describe('--resume with more --epochs', { timeout }, () => {
  it('continues a finished run at the learning rate of the longer schedule, and warns that it is another run', async () => {
    await begin('salora')
    const [before, { ranks }] = [await lines('salora'), await resultOf('salora')]
    const { code, stdout, stderr } = await train('salora', '--resume', '--epochs', '3')
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(
        /^(warning: gates .*\n)?warning: salora: the run had ended after step 12 and continues to step 18. It differs from a run of 18 steps: .*\n/,
      ),
    ])
    expect(stdout).toMatch(/^trained 18 steps; the run was extended after step 12$/m)
    const extended = [{ epochs: 2, maxSteps: null, steps: 12, after: 12 }]
    expect(await json<RunConfig>('salora', 'config.json')).toMatchObject({ settings: { epochs: 3 }, extended })
    expect(await resultOf('salora')).toMatchObject({ steps: 18, stepsDone: 18, interrupted: false, extended, ranks })
    const after = await lines('salora')
    expect(after.slice(0, before.length)).toEqual(before)
    const rates = after.filter(({ kind, step }) => kind === 'step' && step > 12).map(({ learningRate }) => learningRate)
    const rate = linearSchedule({ peak: 4e-4, steps: 18, warmupSteps: countWarmupSteps(0.06, 18) })
    expect(rates).toEqual([12, 13, 14, 15, 16, 17].map((step) => expect.closeTo(rate(step), 15) as number))
    expect(await readFile(at('salora', 'adapter', 'README.md'), 'utf8')).toContain('The run had ended after step 12 and was made longer.')
    expect((await saloraIn(['train', '--resume', '--output', 'salora'], { cwd })).stderr).toContain('this run is already finished')
  })

  it.each([
    ['before its first step', 12],
    ['between its checkpoints', 15],
  ])('ends in the same bits when it is killed %s and resumed without --epochs', async (_, step) => {
    await begin('whole', '--method', 'lora', '--save-steps', '3')
    for (const copy of ['killed', 'ended']) await cp(at('whole'), at(copy), { recursive: true })
    await train('whole', '--resume', '--epochs', '3')
    await train('killed', '--resume', '--epochs', '3')
    // what a kill leaves: no result, and no checkpoint after the step
    await rm(at('killed', 'result.json'))
    await rm(at('killed', 'adapter'), { recursive: true })
    if (step === 12) {
      await rm(at('killed', 'checkpoints'), { recursive: true })
      await cp(at('ended', 'checkpoints'), at('killed', 'checkpoints'), { recursive: true })
    } else await rm(at('killed', 'checkpoints', 'step-000000018.safetensors'))
    expect((await train('killed', '--resume')).code).toBe(0)
    expect(await adapter('killed')).toEqual(await adapter('whole'))
    const timeless = (all: readonly object[]) => all.map((line) => ({ ...line, tokensPerSecond: 0 }))
    expect(timeless(await lines('killed'))).toEqual(timeless(await lines('whole')))
    for (const name of ['whole', 'killed', 'ended']) await rm(at(name), { recursive: true })
  })

  it.each(['adalora', 'full', 'prompt'])('extends a run of %s twice', async (method) => {
    await begin(method, '--method', method, ...(method === 'prompt' ? ['--set', 'num-virtual-tokens=3'] : []))
    const { ranks } = await resultOf(method)
    for (const steps of ['15', '17']) expect((await train(method, '--resume', '--max-steps', steps)).code).toBe(0)
    const { extended = [], stepsDone, ranks: later } = await resultOf(method)
    expect([extended.map(({ after }) => after), stepsDone, later]).toEqual([[12, 15], 17, ranks])
    expect((await saloraIn(['evaluate', '--run', method, '--task', 'toy.tsv', '--json'], { cwd })).code).toBe(0)
  })

  it('counts patience from zero after early stopping', async () => {
    await begin('patient', '--method', 'lora', '--eval-steps', '1', '--learning-rate', '1e-12', '--early-stopping-patience', '3')
    expect(await resultOf('patient')).toMatchObject({ stoppedEarly: true, stepsDone: 4, steps: 12 })
    await train('patient', '--resume', '--epochs', '3')
    expect(await resultOf('patient')).toMatchObject({ stoppedEarly: true, stepsDone: 7, steps: 18, extended: [{ steps: 12, after: 4 }] })
  })

  it('refuses a length that it had already, and changes no file', async () => {
    await begin('refused', '--set', 'gate-start=0.2,gate-end=0.5')
    const before = await treeOf(at('refused'))
    const { code, stderr } = await train('refused', '--resume', '--epochs', '1')
    expect([code, stderr]).toEqual([2, '--epochs: expected more than the 12 steps that the finished run took, got 6 steps\n'])
    expect(await treeOf(at('refused'))).toEqual(before)
  })

  it('refuses another length for an unfinished run', async () => {
    await begin('unfinished')
    const result = await resultOf('unfinished')
    await rm(at('unfinished', 'result.json'))
    const { code, stderr } = await train('unfinished', '--resume', '--epochs', '3')
    expect([code, stderr.trim()]).toEqual([1, expect.stringMatching(/the settings that the run began with .*, got epochs was 2 and is 3$/)])
    expect((await train('unfinished', '--resume')).code).toBe(0)
    expect((await resultOf('unfinished')).best).toEqual(result.best)
  })
})
