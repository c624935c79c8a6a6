/** What an objective computes with an adapter that PEFT wrote, in float64: answers, loss and gradients of one batch. */
import { frozenWeights, weightSource } from '../../accelerated/checkpoints/frozenWeights.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import type { Adapter } from '../../accelerated/formats/adapter.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { flatten, viewTensor, zeros } from '../../accelerated/parameters/vectors.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { assemble, buildLayout } from '../../accelerated/training/assembly.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'

export type ObjectiveStep = {
  readonly answers: readonly number[]
  readonly loss: readonly number[]
  readonly gradientOf: (name: string) => readonly number[]
}

/** Without dropout; all examples are one batch. */
export const objectiveStep = async <E extends TrainingExample>(
  base: ModelFolder,
  { tensors, head, method, phase, settings: saved }: Adapter,
  objective: Objective<E, readonly number[]>,
  examples: readonly E[],
): Promise<ObjectiveStep> => {
  const [settings, precision] = [{ ...saved, dropout: 0 }, findPrecision('float64')]
  const assembly = assemble({ model: base.model, frozen: frozenWeights(base, 'float64'), method, settings, precision }, () => objective)
  const layout = buildLayout(assembly, phase)
  const parameters = flatten(layout, ({ name }) => (tensors.get(name) ?? head.get(name))?.data, 'float64')
  const runtime = { engine: findDevice('cpu').engine({ threads: 1 }), weights: weightSource(base) }
  const session = await runtime.engine.open(stepGraph(assembly, phase, 'add').outputs, runtime.weights)
  const prepared = objective.prepare(examples, { seed: 0, step: 0 })
  const [gradientSum, empty] = [zeros(layout.size, 'float64'), zeros(layout.size, 'float64')]
  const state = { step: 0, phase, parameters, firstMoment: empty, secondMoment: empty, memory: {} }
  const feeds = { ...batchFeeds(assembly, prepared, prepared.weight).feeds, ...stateFeeds(layout, state, 'float64') }
  const sum = blockFeeds(layout, 'gradientSum', zeros(layout.size, 'float64'), 'float64')
  const results = await session.run({ ...feeds, ...sum }, resultsInto(layout, { gradientSum }))
  collect(layout, { gradientSum }, results)
  await session.release()
  const predictor = await openPredictor(assembly, objective, phase, runtime)
  const all = { length: examples.length, at: (i: number) => examples[i] }
  const answers = await predictor.predict(parameters, all, examples.length).finally(predictor.release)
  return {
    answers: answers.flat(),
    loss: Array.from(results['loss'] ?? [], Number),
    gradientOf: (name) => Array.from(viewTensor(layout, gradientSum, name)),
  }
}
