/** A run whose parts are computed elsewhere, in any order and some twice, has the bits of the run in one process. */
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkpointNumbers } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { namedVectors } from '../../accelerated/parameters/vectors.js'
import { openFrozen } from '../../accelerated/precisions/precision.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { assemble } from '../../accelerated/training/assembly.js'
import type { TrainingEvent, TrainingTask } from '../../accelerated/training/events.js'
import { initializeRun } from '../../accelerated/training/initialState.js'
import type { PartExecutor, MicroBatchGradient, AnswersExecutor } from '../../accelerated/training/microBatchGradient.js'
import { openMicroBatchWorker } from '../../accelerated/training/microBatchWorker.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { sentenceEmbedding } from '../../finetuning/tasks/embeddings/objective.js'
import { assertClose } from '../support/assertClose.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const texts = ['a good film', 'a bad film', 'good', 'bad bad', 'the film is good', 'the film is bad', 'a very good one', 'a poor one', 'ok']
const outputs = { head: 'sequence', labels: 2, problemType: 'single_label_classification' } as const
const common = { maxSteps: 4, maxLength: 16, batchSize: 2, saveSteps: 3, dropout: 0, learningRate: 0.01 } as const
/** Runs through all phases, with dropout. */
const long = { maxSteps: 12, saveSteps: 5, evalSteps: 6, dropout: 0.1 } as const

/** Every method, the phases of those that have some, and what changes a step's graph. */
const cases: readonly SettingsInput[] = [
  { ...long, method: 'salora', rank: 2, gateStart: 0.25, gateEnd: 0.75, gradientAccumulationSteps: 3 },
  {
    method: 'salora',
    rank: 2,
    gateStart: 0.25,
    gateEnd: 0.75,
    gateAfter: 'binary',
    maxSteps: 8,
    maxGradNorm: 0.01,
    gradientAccumulationSteps: 4,
  },
  { ...long, dropout: 0, method: 'adalora', initR: 3, targetR: 2, tinitRatio: 0.1, tfinalRatio: 0.4, gradientAccumulationSteps: 2 },
  { method: 'lora', rank: 2, dropout: 0.1, gradientAccumulationSteps: 8 },
  { method: 'lora', rank: 2, useDora: true, gradientCheckpointing: true, gradientAccumulationSteps: 3 },
  { method: 'lora', rank: 2, precision: 'float64', maxGradNorm: 1, gradientAccumulationSteps: 3 },
  { method: 'lora', rank: 2, precision: 'int8', gradientAccumulationSteps: 2 },
  { method: 'houlsby', gradientAccumulationSteps: 2 },
  { method: 'pfeiffer', gradientAccumulationSteps: 3 },
  { method: 'prefix', numVirtualTokens: 4, gradientAccumulationSteps: 2 },
  { method: 'prompt', numVirtualTokens: 4, gradientAccumulationSteps: 2 },
  { method: 'full', gradientAccumulationSteps: 2 },
]

const { folder: root } = temporaryFolder('spread')
beforeAll(async () => {
  await writeTinyModel(join(root, 'tiny'))
})

/** Differs for other numbers, or another order. */
const weightedSum = (numbers: readonly unknown[]): number => numbers.reduce((sum: number, x, i) => sum + Number(x) * (i + 1), 0)

/** The task as a process of its own opens it, and its start. */
const openTask = async (input: SettingsInput, objectiveName: 'classes' | 'ranking' = 'classes') => {
  const settings = resolveSettings({ ...common, ...input })
  const base = await openModelFolder(join(root, 'tiny'), { baseModelName: 'tiny' })
  const tokenizer = await loadTokenizer(base.folder, base.model)
  const precision = findPrecision(settings.precision)
  const { tensor, weights } = await openFrozen(precision, base, join(root, 'cache'))
  const parts = { model: base.model, frozen: tensor, method: findMethod(settings.method), settings, precision }
  const isRanking = objectiveName === 'ranking'
  const assembly = assemble(parts, (model) => (isRanking ? sentenceEmbedding(model, 'ranking') : sequenceClassification(model, outputs)))
  const examples = texts.map((text, row) => {
    const { inputIds } = tokenizer.encode(text, undefined, 16)
    const pair = { ends: [2, inputIds.length], score: NaN } // of the text's first two tokens, and the others
    return { inputIds, label: row % 2, row, ...(isRanking ? pair : {}) }
  })
  const task: TrainingTask<TrainingExample, unknown> = {
    ...assembly,
    objective: assembly.objective as TrainingTask<TrainingExample, unknown>['objective'],
    runtime: { engine: cpu.engine({ threads: 1 }), weights },
    training: examples,
    evaluation: examples,
    score: (answers) => ({ scores: { answers: answers.length, sum: weightedSum(answers.flat()) }, selection: 0, constant: null }),
  }
  return { task, start: await initializeRun(assembly, checkpointNumbers(base)) }
}

type Checkpoint = Extract<TrainingEvent, { readonly kind: 'checkpoint' }>

type TraceOptions = {
  readonly objective?: 'ranking'
  readonly executor?: PartExecutor
  readonly answers?: AnswersExecutor
  readonly resumed?: Checkpoint
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void
}

/** Everything that a run reports and saves, but its speed; each state as bytes. */
const traceOf = async (
  input: SettingsInput,
  { objective, executor, answers, resumed, onCheckpoint }: TraceOptions = {},
): Promise<readonly unknown[]> => {
  const { task, start } = await openTask(input, objective)
  const spread = { ...(executor === undefined ? {} : { executor }), ...(answers === undefined ? {} : { answers }) }
  const run = train({ ...task, ...spread }, resumed?.state ?? start, resumed ?? null, new AbortController().signal)
  const bytesOf = (state: Parameters<typeof namedVectors>[0]) =>
    Object.entries(namedVectors(state)).map(([name, vector]) => [
      name,
      Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('hex'),
    ])
  const kept = (event: TrainingEvent): unknown => {
    if (event.kind === 'step') return { ...event, tokensPerSecond: 0 }
    if (event.kind === 'evaluating') return { ...event, done: 0 } // batches are done in another order
    return event.kind === 'checkpoint' ? { ...event, state: { ...event.state, ...Object.fromEntries(bytesOf(event.state)) } } : event
  }
  const trace: unknown[] = []
  for (;;) {
    const next = await run.next()
    if (next.done === true) return [...trace, bytesOf(next.value.last), next.value.byMatrix]
    trace.push(structuredClone(kept(next.value)))
    if (next.value.kind === 'checkpoint') onCheckpoint?.(structuredClone(next.value))
  }
}

const copyOf = ({ gradient, tokens, results }: MicroBatchGradient): MicroBatchGradient => ({
  gradient: gradient.slice(),
  tokens,
  results: structuredClone(results),
})

/** Parts in the order of their ranks; odd ranks go to a worker that sees only copies of what a leader publishes. Every fourth is done twice. */
const shuffled =
  (worker: ReturnType<typeof openMicroBatchWorker>, ranks: readonly number[]): PartExecutor =>
  async ({ step, phase, parameters, progress, parts, compute }) => {
    const atWorker = (part: number): Promise<MicroBatchGradient> => worker.gradients.compute(source, part)
    const source = { step, phase: JSON.parse(JSON.stringify(phase)) as unknown, parameters: parameters.slice(), progress: { ...progress } }
    const rankOf = (part: number): number => ranks[(step * 7 + part) % ranks.length] ?? 0
    const order = Array.from({ length: parts }, (_, part) => part).sort((a, b) => rankOf(a) - rankOf(b))
    const done = new Map<number, MicroBatchGradient>()
    for (const part of order) {
      const rank = rankOf(part)
      if (rank % 4 === 0) await atWorker(part) // late: ignored
      done.set(part, copyOf(rank % 2 === 1 ? await atWorker(part) : await compute(part)))
    }
    return Array.from({ length: parts }, (_, part) => done.get(part) as MicroBatchGradient)
  }

/** The batches of an evaluation, the last first; every second one from a worker. */
const backwards = (worker: ReturnType<typeof openMicroBatchWorker>): AnswersExecutor =>
  async function* ({ step, phase, parameters, progress, parts, compute, fits }) {
    const source = { step, phase: JSON.parse(JSON.stringify(phase)) as unknown, parameters: parameters.slice(), progress: { ...progress } }
    for (let part = parts - 1; part >= 0; part--) {
      const outputs = copyOf(part % 2 === 0 ? await worker.answers.compute(source, part) : await compute(part))
      expect([fits(part, outputs), fits(part, { ...outputs, gradient: outputs.gradient.slice(1) })]).toEqual([true, false])
      yield [part, outputs]
    }
  }

describe('a run in spread parts', () => {
  it.each([...cases])('has the bits of the run in one process: %j', async (input) => {
    const alone = await traceOf(input)
    expect(alone.length).toBeGreaterThan(input.maxSteps ?? common.maxSteps)
    const ranks = fc.sample(fc.array(fc.nat(99), { minLength: 5, maxLength: 11 }), { numRuns: 1, seed: 7 })[0] ?? []
    const worker = openMicroBatchWorker((await openTask(input)).task)
    const together = await traceOf(input, { executor: shuffled(worker, ranks), answers: backwards(worker) }).finally(worker.release)
    expect(together).toEqual(alone)
  })
})

describe('a ranking loss over accumulated batches', () => {
  const parts = { method: 'lora', rank: 2, batchSize: 3, gradientAccumulationSteps: 3, evalSteps: 4 } as const

  it('has the bits of the run in one process where its parts are spread, and where it is resumed, with dropout', async () => {
    const input = { ...parts, dropout: 0.1 }
    const checkpoints: Checkpoint[] = []
    const alone = await traceOf(input, { objective: 'ranking', onCheckpoint: (one) => checkpoints.push(one) })
    const worker = openMicroBatchWorker((await openTask(input, 'ranking')).task)
    const compute = shuffled(worker, [3, 8, 1, 4, 5])
    const executor: PartExecutor = async (step) => {
      const gradients = await compute(step)
      // each part reports a third of one loss: what it computes has the noise of what the others were fed
      const [first = NaN, ...others] = gradients.map(({ results }) => Number(results['taskLoss']?.[0]))
      assertClose(others, [first, first], { relative: 1e-5, name: 'shares of the loss' })
      return gradients
    }
    const spread = { executor, answers: backwards(worker) }
    expect(await traceOf(input, { objective: 'ranking', ...spread }).finally(worker.release)).toEqual(alone)
    const [resumed] = checkpoints
    if (resumed === undefined) throw new Error('expected a checkpoint, got none')
    expect((await traceOf(input, { objective: 'ranking', resumed })).slice(-2)).toEqual(alone.slice(-2))
  })

  it('is that of one batch: three parts of three equal nine pairs, to rounding', async () => {
    const lossesOf = async (input: SettingsInput): Promise<readonly (readonly number[])[]> =>
      (await traceOf(input, { objective: 'ranking' })).flatMap((event) => {
        const { kind, taskLoss = NaN, gradientNorm = NaN } = event as { kind?: string; taskLoss?: number; gradientNorm?: number }
        return kind === 'step' ? [[taskLoss, gradientNorm]] : []
      })
    for (const [precision, relative] of [
      ['float64', 1e-9],
      ['float32', 1e-4],
    ] as const) {
      const accumulated = await lossesOf({ ...parts, precision })
      const whole = await lossesOf({ ...parts, precision, batchSize: 9, gradientAccumulationSteps: 1 })
      expect(whole.length).toBe(4)
      assertClose(accumulated.flat(), whole.flat(), { relative, name: precision })
    }
  })
})

describe('a worker of parts', () => {
  it('refuses a phase that is not of the method, and parameters of another size', async () => {
    const { task, start } = await openTask(cases[0] ?? {})
    const worker = openMicroBatchWorker(task)
    const progress = { step: 0, steps: 12 }
    await expect(worker.gradients.open({ stage: 'other' })).rejects.toThrow(/^the published step: expected a phase of salora, got /)
    const short = { ...start, parameters: start.parameters.slice(1), progress }
    await expect(worker.gradients.compute(short, 0)).rejects.toThrow(
      /^the published step: expected \d+ trained numbers of salora, got \d+$/,
    )
    await worker.release()
  })
})
