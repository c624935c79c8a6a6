/** What ends a run instead of going into its result: numbers that are not finite, and gates that never ran. */
import { describe, expect, it } from 'vitest'
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import { salora } from '../../accelerated/methods/salora/salora.js'
import type { LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { buildLayout } from '../../accelerated/training/assembly.js'
import { checkAnswers, checkStep } from '../../accelerated/training/finiteChecks.js'
import type { TrainingResult, TrainingTask } from '../../accelerated/training/events.js'
import { TrainingError } from '../../accelerated/errors/expectedErrors.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { initializeRun } from '../../accelerated/training/initialState.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { buildAssembly, phaseIn, openRuntime } from '../../evaluation/agreement/acceleratedSide.js'
import { toExamples } from '../../evaluation/agreement/convert.js'
import { someOptions } from './modelOptions.js'

const model = drawModel(someOptions({ dropout: 0, lengths: [3, 1, 4, 2] }))
const examples = toExamples(model.batch).map((example, i) => ({ ...example, row: 10 + i }))
const gated = { method: 'salora', gateStart: 0.2, gateEnd: 0.5 } as const
type Task = TrainingTask<LabeledExample, unknown>

const runFrom = async (state: Partial<RunState>, change: SettingsInput = {}, more: Partial<Task> = {}): Promise<TrainingResult> => {
  const settings = resolveSettings({
    ...(change.method === undefined ? gated : {}),
    rank: model.settings.rank,
    loraAlpha: model.settings.alpha,
    maxSteps: 10,
    batchSize: 2,
    precision: 'float64',
    maxLength: 5,
    device: 'cpu',
    ...change,
  })
  const assembly = { ...buildAssembly(model, 'float64'), method: findMethod(settings.method), settings }
  const task: Task = {
    ...assembly,
    objective: assembly.objective as Task['objective'],
    runtime: openRuntime({ device: 'cpu', precision: 'float64' }),
    training: examples,
    evaluation: examples,
    score: () => ({ scores: {}, selection: 0, constant: null }),
    ...more,
  }
  const start = await initializeRun(assembly, async () => undefined)
  const events = train(task, { ...start, ...state }, null, new AbortController().signal)
  for (;;) {
    const next = await events.next()
    if (next.done === true) return next.value
  }
}

describe('a run after its last step', () => {
  it('fails if its gates were not sampled in each step of their window', async () => {
    await expect(runFrom({ step: 10 })).rejects.toThrow(
      "the run's end: expected sampled gates in steps 2 to 4 and retention after them, got none and none: nothing was pruned by them",
    )
    await expect(runFrom({ step: 10 })).rejects.toBeInstanceOf(TrainingError)
    await expect(runFrom({ step: 3 })).rejects.toThrow('got those from step 3 and retention at 5')
  })

  it('fails without retention, or with retention at another step', () => {
    const settings = resolveSettings({ ...gated, rank: model.settings.rank }) as never
    const phase = {
      stage: 'after',
      matrices: [],
      opened: { step: 2, density: 1 },
      retained: { step: 5, expectedDensity: 0.5, retainedDensity: 0.5, ranks: {}, lambda: 0 },
      gates: null,
      squaredNorms: null,
    } satisfies SaloraPhase
    const unfinished = (of: SaloraPhase) => salora.phases.unfinished?.(of, settings, { step: 10, steps: 10 })
    expect(unfinished(phase)).toBeNull()
    expect(unfinished({ ...phase, retained: null })).toContain('got those from step 2 and none')
    expect(unfinished({ ...phase, retained: { ...phase.retained, step: 6 } })).toContain('retention at 6')
  })

  it('succeeds with sampled gates, with the largest triplets of plain LoRA, and with a method without gates', async () => {
    const { last } = await runFrom({})
    expect([last.step, phaseIn(last).retained?.step, phaseIn(last).opened?.step]).toEqual([10, 5, 2])
    const compared = phaseIn((await runFrom({}, { retain: 'magnitude' })).last)
    expect([compared.opened, compared.retained?.step, compared.retained?.expectedDensity]).toEqual([null, 5, null])
    expect((await runFrom({ step: 10 }, { method: 'lora' })).last.step).toBe(10)
  })
})

describe('numbers that are not finite', () => {
  const fine = { step: 7, loss: 1, gradientNorm: 1 }
  const [first] = buildLayout(
    buildAssembly(model, 'float64'),
    salora.phases.start(
      buildAssembly(model, 'float64').model.spec,
      resolveSettings({ method: 'salora', rank: model.settings.rank }) as never,
    ),
  ).blocks
  const layout = { size: 2, blocks: first === undefined ? [] : [{ ...first, offset: 0, size: 2 }] }
  const message = (check: () => void): string => {
    try {
      check()
    } catch (error) {
      return error instanceof TrainingError ? error.message : String(error)
    }
    return ''
  }
  it.each<readonly [string, Partial<typeof fine>, number, string]>([
    ['none', {}, 0, ''],
    ['a loss', { loss: NaN }, 0, 'step 7: expected a finite loss and gradient, got loss NaN and gradient norm 1; the batch is rows 4, 2'],
    [
      'a gradient',
      { gradientNorm: Infinity },
      0,
      'step 7: expected a finite loss and gradient, got loss 1 and gradient norm Infinity; the batch is rows 4, 2',
    ],
    [
      'a gradient outside the norm',
      {},
      NaN,
      'step 7: expected finite gradients, got one that makes a parameter NaN; the batch is rows 4, 2',
    ],
    [
      'a gradient that overflows the update',
      {},
      -Infinity,
      'step 7: expected finite gradients, got one that makes a parameter -Infinity; the batch is rows 4, 2',
    ],
  ])('are reported for %s', (_, change, parameter, expected) =>
    expect(
      message(() => checkStep({ ...fine, ...change }, layout, { parameters: Float32Array.of(1, parameter) }, [{ row: 4 }, { row: 2 }])),
    ).toBe(expected),
  )

  it('are reported for an evaluation with the row', () => {
    expect(
      message(() =>
        checkAnswers(
          8,
          [
            [0, 1],
            [NaN, 1],
          ],
          examples,
        ),
      ),
    ).toBe('step 8: expected finite outputs in the evaluation, got NaN, 1 for row 11')
    expect(
      message(() =>
        checkAnswers(
          8,
          [
            [0, 1],
            [2, 1],
          ],
          examples,
        ),
      ),
    ).toBe('')
  })

  it('stop training: a step reports the rows of all its batches, an evaluation its row', async () => {
    const assembly = buildAssembly(model, 'float64')
    const { size } = buildLayout(
      assembly,
      salora.phases.start(assembly.model.spec, resolveSettings({ method: 'salora', rank: model.settings.rank }) as never),
    )
    const lost = { parameters: new Float64Array(size).fill(NaN) }
    const message = await runFrom(lost, { batchSize: 1, gradientAccumulationSteps: 4 }).then(
      () => '',
      (error: unknown) => (error as Error).message,
    )
    const [, rows] = /^step 1: expected a finite loss and gradient, got loss NaN .* rows ([\d, ]+)$/.exec(message) ?? []
    expect(rows?.split(', ').sort()).toEqual(['10', '11', '12', '13'])
    await expect(runFrom(lost, {}, { evalOnStart: true })).rejects.toThrow(
      /^step 0: expected finite outputs in the evaluation, got NaN.* for row 10$/,
    )
  })
})
