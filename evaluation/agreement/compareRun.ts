/** The life of a run: plain steps, gated steps, retention, plain steps on what was retained, and the logits of what is handed over. */
import { closeGates, openGates, withoutNoise, type SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import { sequence } from '../../accelerated/objectives/sequence.js'
import { flatten, tensorOf, type Vector } from '../../accelerated/training/parameterVector.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import type { RunState } from '../../accelerated/training/state.js'
import {
  density,
  deterministicGate,
  encoder,
  exportedAdapters,
  mergeAdapters,
  pruneState,
  type PruneSettings,
  scaleOf,
  type Tensors,
  type TrainingState,
} from '../../reference/index.js'
import { boundOf } from './bounds.js'
import { compareStates } from './compareSteps.js'
import type { Model } from './model.js'
import type { Row } from './rows.js'
import { compare } from './rows.js'
import type { Reached, Target } from './segment.js'
import { advance, assemblyOf, layoutFor, phaseIn, runtimeOf, startOfRun } from './segment.js'
import { toExamples } from './translate.js'

export type RunRules = Pick<PruneSettings, 'gateAfter'> & { readonly retain: 'budget' | 'paper'; readonly density: number }

export const compareRun = async (model: Model, target: Target, rules: RunRules, number = 0): Promise<ReadonlyArray<Row>> => {
  const { settings } = model
  const bound = boundOf(target.device, target.dtype)
  const row = compare('run', bound, number)
  const compareLogits = compare('adapter', bound, number)

  const layoutOf = (phase: SaloraPhase) => layoutFor(model, phase)
  const moved = (state: RunState) => ({ vectors: state, layoutOf, dtype: target.dtype })
  const withPhase = (state: RunState, next: ReturnType<typeof openGates>): RunState => ({ ...state, ...next.vectors, phase: next.phase })

  const plain = await advance(model, target, startOfRun(model, target.dtype), 'open', 3)
  const opening = openGates(phaseIn(plain.accelerated), settings, plain.accelerated.step, moved(plain.accelerated))
  const opened = { reference: plain.reference, accelerated: withPhase(plain.accelerated, opening) }
  const gated = await advance(model, target, opened, 'sampled', 4)
  const [pruned, { retained, retainedDensity }] = pruneState({ ...settings, ...rules, targetDensity: rules.density })(gated.reference)
  const closed = closeGates(
    phaseIn(gated.accelerated),
    { ...settings, ...rules, seed: 0 },
    gated.accelerated.step,
    moved(gated.accelerated),
  )
  const left = closed.phase.retained
  const ranks = Object.keys(retained).map((name) => left?.ranks[name] ?? NaN)
  const after = await advance(model, target, { reference: pruned, accelerated: withPhase(gated.accelerated, closed) }, 'open', 3)

  const gates = gatesWithoutNoise(model, gated.reference)
  const soft = withoutNoise(phaseIn(gated.accelerated), settings, 1, gated.accelerated.parameters, { layoutOf, dtype: target.dtype })
  const softLogits = await logitsOf(model, target, soft.phase, soft.parameters)
  const handed = withoutNoise(phaseIn(after.accelerated), settings, 1, after.accelerated.parameters, { layoutOf, dtype: target.dtype })
  const ungated = await logitsOf(model, target, handed.phase, handed.parameters)
  const exported = { ...after.reference, adapters: exportedAdapters(after.reference) }
  const merged = mergeAdapters(scaleOf(settings))({ base: model.base, adapters: exported.adapters, gates: {} })
  const bare: SaloraPhase = { ...phaseIn(after.accelerated), matrices: [] }
  const mergedLogits = await logitsOf({ ...model, base: merged }, target, bare, headOnly(model, after, bare, target))
  const expectedPruned = referenceLogits(model, exported, {})
  return [
    ...compareStates(model, target, gated, 'run', number),
    row('expected density', [density(settings)(gated.reference.adapters)], [left?.expectedDensity ?? NaN]),
    row('retained density', [retainedDensity], [left?.retainedDensity ?? NaN]),
    row(
      'retained ranks',
      Object.values(retained).map(({ length }) => length),
      ranks,
    ),
    ...compareStates(model, target, after, 'run', number).map((compared) => ({ ...compared, quantity: `pruned ${compared.quantity}` })),
    compareLogits('logits with ĝ', referenceLogits(model, gated.reference, gates), softLogits),
    compareLogits('logits after pruning', expectedPruned, ungated),
    compareLogits('logits of the merged model', expectedPruned, mergedLogits),
  ]
}

const gatesWithoutNoise = ({ settings }: Model, { adapters }: TrainingState): Tensors =>
  Object.fromEntries(Object.entries(adapters).map(([name, { logTheta }]) => [name, deterministicGate(settings)(logTheta)]))

const referenceLogits = ({ config, settings, base, batch }: Model, { adapters, head }: TrainingState, gates: Tensors): Float64Array =>
  encoder(config, { scale: scaleOf(settings) })({ base, adapters, head, gates }, batch).logits.data

/** By the path that evaluation and prediction take, in batches of two. */
const logitsOf = async (model: Model, target: Target, phase: SaloraPhase, parameters: Vector): Promise<ReadonlyArray<number>> => {
  const assembly = assemblyOf(model, target.dtype)
  const predictor = await openPredictor(assembly, sequence(assembly.model, model.config), phase, runtimeOf(target))
  return (await predictor.predict(parameters, toExamples(model.batch), 2).finally(predictor.release)).flat()
}

/** The parameters of a model without adapters. */
const headOnly = (model: Model, { accelerated }: Reached, bare: SaloraPhase, { dtype }: Target): Vector => {
  const from = layoutFor(model, phaseIn(accelerated))
  return flatten(layoutFor(model, bare), ({ name }) => tensorOf(from, accelerated.parameters, name), dtype)
}
