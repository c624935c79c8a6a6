/** Prediction: the objective's answers for many examples, in batches of similar length. */
import { examplesAt, lengthsOf, type Examples } from '../models/packing.js'
import type { TrainingExample, Objective } from '../objectives/objective.js'
import { layoutOf, type Assembly } from './assembly.js'
import { inferenceGraph } from './inferenceGraph.js'
import { inBatches } from './batchOrder.js'
import type { OpenOptions, Session } from '../engines/engine.js'
import type { Vector } from '../parameters/vectors.js'
import { forLengths } from './longTexts.js'
import type { Runtime } from './phaseSessions.js'
import { blockFeeds } from './stateBuffers.js'
import { fixedParameters } from './fixedParameters.js'
import { batchFeeds } from './batchFeeds.js'

export type Predictor<E, O> = {
  /** Yields after each batch how many examples are done. Returns one answer for each example, in their order. */
  readonly predictions: (parameters: Vector, examples: Examples<E>, batchSize: number) => AsyncGenerator<number, ReadonlyArray<O>>
  /** The same as one promise. @param onProgress called after each batch with the number of examples done */
  readonly predict: (
    parameters: Vector,
    examples: Examples<E>,
    batchSize: number,
    onProgress?: (done: number) => void,
  ) => Promise<ReadonlyArray<O>>
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
  { engine, weights }: Runtime,
  options?: OpenOptions,
  fixed?: Vector,
): Promise<Predictor<E, O>> => {
  const layout = layoutOf(assembly, phase)
  const { dtype } = assembly.precision
  const known = fixed === undefined ? null : fixedParameters(layout, fixed, dtype, engine)
  const open = (of: Assembly): Promise<Session> => engine.open(inferenceGraph(of, phase, known?.tensors), weights, options)
  const session = await open(assembly)
  let forLongTexts: Promise<Session> | null = null
  const predictions = async function* (
    parameters: Vector,
    examples: Examples<E>,
    batchSize: number,
  ): AsyncGenerator<number, ReadonlyArray<O>> {
    let done = 0
    const answers = new Array<O>(examples.length)
    const lengths = lengthsOf(examples)
    const byLength = Array.from(lengths, (_, i) => i).sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0))
    const own = forLengths(assembly, examples, engine)
    if (own !== assembly) forLongTexts ??= open(own)
    const { run } = await (own === assembly ? session : (forLongTexts ?? session))
    const constant = known?.feeds ?? blockFeeds(layout, 'parameters', parameters, dtype)
    for (const [i, rows] of inBatches(byLength, batchSize).entries()) {
      const draw = { seed: assembly.settings.seed, step: firstDraw + i }
      const prepared = objective.prepare(examplesAt(examples, rows), draw)
      const { packed, feeds } = batchFeeds(own, prepared, prepared.weight)
      const results = await run({ ...constant, ...feeds })
      prepared.read(results, packed).forEach((answer, position) => {
        answers[rows[position] ?? 0] = answer
      })
      done += rows.length
      yield done
    }
    return answers
  }
  return {
    release: async () => {
      await session.release()
      await (await forLongTexts)?.release()
    },
    predictions,
    predict: async (parameters, examples, batchSize, onProgress) => {
      const batches = predictions(parameters, examples, batchSize)
      for (;;) {
        const next = await batches.next()
        if (next.done === true) return next.value
        onProgress?.(next.value)
      }
    },
  }
}
