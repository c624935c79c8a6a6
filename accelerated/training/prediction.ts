/** Prediction: the objective's answers for many examples, in batches of similar length. */
import { pickExamples, measureLengths, type Examples } from '../models/packing.js'
import type { Objective, Prepared, TrainingExample } from '../objectives/objective.js'
import { buildLayout, type Assembly } from './assembly.js'
import { inferenceGraph, fixedParameters } from './inferenceGraph.js'
import { inBatches } from './batchOrder.js'
import { type OpenOptions, type Results, type Session, watchedWeights } from '../engines/engine.js'
import type { Feeds } from '../engines/feeds.js'
import type { Vector } from '../parameters/vectors.js'
import { forLengths, batchFeeds } from './batchFeeds.js'
import type { Runtime } from './phaseSessions.js'
import { blockFeeds } from './stateBuffers.js'
import { isFiniteAnswer } from './finiteChecks.js'
import type { BatchExecutor, BatchOutputs } from './microBatchGradient.js'

/** Examples in batches of similar length, the longest first. Each batch may be computed anywhere. */
type Batches<O> = {
  /** the rows of each batch */
  readonly rows: readonly (readonly number[])[]
  readonly compute: (batch: number) => Promise<BatchOutputs>
  /** One answer for each row of the batch, from its outputs. */
  readonly read: (batch: number, results: Results) => readonly O[]
}

/** One batch after another, in this process. */
const inOrder: BatchExecutor = async function* ({ count, compute }) {
  for (let batch = 0; batch < count; batch++) yield [batch, (await compute(batch)).results]
}

export type Predictor<E, O> = {
  readonly batches: (parameters: Vector, examples: Examples<E>, batchSize: number) => Promise<Batches<O>>
  /** Yields after each batch how many examples are done. Returns one answer for each example, in their order. */
  readonly predictions: (
    parameters: Vector,
    examples: Examples<E>,
    batchSize: number,
    executor?: BatchExecutor,
  ) => AsyncGenerator<number, readonly O[]>
  /** The same as one promise. @param onProgress called after each batch with the number of examples done */
  readonly predict: (
    parameters: Vector,
    examples: Examples<E>,
    batchSize: number,
    onProgress?: (done: number) => void,
  ) => Promise<readonly O[]>
  readonly release: () => Promise<void>
}

/** Random numbers of inference (masked tokens, for example) belong to steps that no run reaches. */
const firstDraw = 2 ** 24

/**
 * A second session serves long texts, from the first of them on; it serves all if the assembly is for them.
 * @param phase one without randomness: see Method.deterministic @param options see Engine.open
 * @param fixed the parameters of every prediction, if they never change: the others are then ignored
 */
export const openPredictor = async <E extends TrainingExample, O>(
  assembly: Assembly,
  objective: Objective<E, O>,
  phase: unknown,
  runtime: Runtime,
  options?: OpenOptions,
  fixed?: Vector,
): Promise<Predictor<E, O>> => {
  const { engine } = runtime
  const layout = buildLayout(assembly, phase)
  const { dtype } = assembly.precision
  const { weights, check } = watchedWeights(runtime.weights)
  const known = fixed === undefined ? null : fixedParameters(layout, fixed, dtype, engine)
  const open = (of: Assembly): Promise<Session> =>
    engine.open(inferenceGraph(of, phase, known?.tensors), weights, { ...options, fixed: Object.keys(known?.feeds ?? {}) })
  const session = await open(assembly)
  let forLongTexts: Promise<Session> | null = null
  const batches: Predictor<E, O>['batches'] = async (parameters, examples, batchSize) => {
    const own = forLengths(assembly, examples, engine)
    if (own !== assembly) forLongTexts ??= open(own)
    const { run } = await (own === assembly ? session : (forLongTexts ?? session))
    const constant = known?.feeds ?? blockFeeds(layout, 'parameters', parameters, dtype)
    const checked = async (feeds: Feeds): Promise<Results> => {
      await check()
      const results = await run({ ...constant, ...feeds })
      await check()
      return results
    }
    return prepareBatches({ assembly: own, objective, run: checked }, examples, batchSize)
  }
  const predictions: Predictor<E, O>['predictions'] = async function* (parameters, examples, batchSize, executor = inOrder) {
    return yield* computeAnswers(await batches(parameters, examples, batchSize), examples.length, executor)
  }
  return {
    release: async () => {
      await session.release()
      await (await forLongTexts)?.release()
    },
    batches,
    predictions,
    predict: async (parameters, examples, batchSize, onProgress) => {
      const all = predictions(parameters, examples, batchSize)
      for (;;) {
        const next = await all.next()
        if (next.done === true) return next.value
        onProgress?.(next.value)
      }
    },
  }
}

/** @param run takes the feeds of a batch; it has those of the parameters */
const prepareBatches = <E extends TrainingExample, O>(
  {
    assembly,
    objective,
    run,
  }: { readonly assembly: Assembly; readonly objective: Objective<E, O>; readonly run: (feeds: Feeds) => Promise<Results> },
  examples: Examples<E>,
  batchSize: number,
): Batches<O> => {
  const lengths = measureLengths(examples)
  const byLength = Array.from(lengths, (_, i) => i).sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0))
  const rows = inBatches(byLength, batchSize)
  let newest = { batch: -1 } as { readonly batch: number; readonly prepared: Prepared<O> } & ReturnType<typeof batchFeeds>
  const prepare = (batch: number): typeof newest => {
    if (newest.batch === batch) return newest
    const prepared = objective.prepare(pickExamples(examples, rows[batch] ?? []), {
      seed: assembly.settings.seed,
      step: firstDraw + batch,
    })
    newest = { batch, prepared, ...batchFeeds(assembly, prepared, prepared.weight) }
    return newest
  }
  return {
    rows,
    compute: async (batch) => {
      const { packed, feeds } = prepare(batch)
      return { results: await run(feeds), tokens: packed.tokens }
    },
    read: (batch, results) => {
      const { prepared, packed } = prepare(batch)
      return prepared.read(results, packed)
    },
  }
}

/** Yields after each batch how many examples are done. */
async function* computeAnswers<O>(
  { rows, compute, read }: Batches<O>,
  examples: number,
  executor: BatchExecutor,
): AsyncGenerator<number, readonly O[]> {
  const fits = (batch: number, results: Results): boolean => {
    const answers = read(batch, results)
    return answers.length === rows[batch]?.length && answers.every(isFiniteAnswer)
  }
  const answers = new Array<O>(examples)
  let done = 0
  for await (const [batch, results] of executor({ count: rows.length, compute, fits })) {
    const ofBatch = rows[batch] ?? []
    read(batch, results).forEach((answer, position) => {
      answers[ofBatch[position] ?? 0] = answer
    })
    done += ofBatch.length
    yield done
  }
  return answers
}
