/** The life of a run: plain steps, gated steps, retention, plain steps on the retained part, and the logits of the exported adapter. */
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import { closeGates, openGates, withoutNoise } from '../../accelerated/methods/salora/transitions.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { flatten, viewTensor, type Vector } from '../../accelerated/parameters/vectors.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import type { Engine, Results } from '../../accelerated/engines/engine.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import * as reference from '../../reference/index.js'
import type { Batch, PruneSettings, Tensors, TrainingState } from '../../reference/index.js'
import { compareStates } from './compareSteps.js'
import { levelRows, overall, type Followed } from './int8Rounding.js'
import type { Model } from './drawModel.js'
import { type Row, compare, retainedRanks } from './rows.js'
import { type LockstepResult, advance, followStep, initializeRun } from './lockstep.js'
import {
  type Target,
  boundIn,
  findDtype,
  openRuntime,
  buildAssembly,
  toControl,
  layoutFor,
  phaseIn,
  withLevels,
} from './acceleratedSide.js'
import { headOutputs, toExamples } from './convert.js'

export type RunRules = Pick<PruneSettings, 'gateAfter'> & { readonly retain: 'budget' | 'paper'; readonly density: number }

/** What moves an accelerated state from phase to phase. */
const buildContext = (model: Model, target: Target) => ({
  buildLayout: (phase: SaloraPhase) => layoutFor(model, phase),
  dtype: findDtype(target),
})

const withPhase = (state: RunState, next: ReturnType<typeof openGates>): RunState => ({ ...state, ...next.vectors, phase: next.phase })

export const compareRun = async (model: Model, target: Target, rules: RunRules, number = 0): Promise<readonly Row[]> => {
  const plain = await advance(model, target, initializeRun(model, findDtype(target)), 'open', 3)
  const { accelerated } = plain
  const context = { vectors: accelerated, ...buildContext(model, target) }
  const { settings, parameters } = model
  const control = toControl(settings.control, parameters.lambda)
  const opening = openGates(phaseIn(accelerated), { ...settings, control }, accelerated.step, context)
  const gated = await advance(model, target, { ...plain, accelerated: withPhase(accelerated, opening) }, 'sampled', 4)
  return compareFromEnd(model, target, rules, { ...gated, levels: overall([plain.levels, gated.levels]) }, number)
}

/** From T_end on. Where the two retain different ranks, their states have different shapes, and the rows end with the ranks. */
export const compareFromEnd = async (
  model: Model,
  target: Target,
  rules: RunRules,
  gated: LockstepResult,
  number = 0,
): Promise<readonly Row[]> => {
  const { settings } = model
  const row = compare('run', boundIn(target), number)
  const { reference: ended, accelerated } = gated
  const [pruned, { retained, retainedDensity }] = reference.pruneState({ ...settings, ...rules, targetDensity: rules.density })(ended)
  const context = { vectors: accelerated, ...buildContext(model, target) }
  const closed = closeGates(phaseIn(accelerated), { ...settings, ...rules, seed: 0 }, accelerated.step, context)
  const left = closed.phase.retained
  const ranks = row(
    retainedRanks,
    Object.values(retained).map(({ length }) => length),
    Object.keys(retained).map((name) => left?.ranks[name] ?? NaN),
  )
  const rows = [
    ...levelRows('run', boundIn(target), number, gated.levels),
    ...compareStates(model, target, gated, 'run', number),
    row('expected density', [reference.density(settings)(ended.adapters)], [left?.expectedDensity ?? NaN]),
    row('retained density', [retainedDensity], [left?.retainedDensity ?? NaN]),
    ranks,
  ]
  if (!ranks.holds) return rows
  const start = { reference: pruned, accelerated: withPhase(accelerated, closed) }
  const after = await advance(model, target, start, 'open', 3)
  return [...rows, ...(await compareAdapters(model, target, gated, after, number))]
}

/** The retained part after its plain steps, and the logits of what either state hands over. */
const compareAdapters = async (
  model: Model,
  target: Target,
  gated: LockstepResult,
  after: LockstepResult,
  number: number,
): Promise<readonly Row[]> => {
  const { settings } = model
  const bound = boundIn(target)
  const compareLogits = compare('adapter', bound, number)
  const context = buildContext(model, target)
  const gates = gatesWithoutNoise(model, gated.reference)
  const soft = withoutNoise(phaseIn(gated.accelerated), settings, 1, gated.accelerated.parameters, context)
  const softLogits = await predicted(model, target, soft.phase, soft.parameters)
  const handed = withoutNoise(phaseIn(after.accelerated), settings, 1, after.accelerated.parameters, context)
  const ungated = await predicted(model, target, handed.phase, handed.parameters)
  const exported = { ...after.reference, adapters: reference.exportedAdapters(after.reference) }
  const merged = reference.mergeAdapters(reference.adapterScale(settings))({ base: model.base, adapters: exported.adapters, gates: {} })
  const bare: SaloraPhase = { ...phaseIn(after.accelerated), matrices: [] }
  const mergedModel = { ...model, base: merged }
  const mergedLogits = await predicted(mergedModel, target, bare, headOnly(model, after, bare, target))
  const expectedPruned = referenceLogits(model, exported, {}, ungated)
  // Rounded to int8, merged matrices differ from the matrices below the adapters.
  const expectedMerged =
    mergedLogits.frozenLinear === undefined ? expectedPruned : referenceLogits(mergedModel, { ...exported, adapters: {} }, {}, mergedLogits)
  const expectedSoft = referenceLogits(model, gated.reference, gates, softLogits)
  return [
    ...levelRows('run', bound, number, after.levels),
    ...compareStates(model, target, after, 'run', number).map((compared) => ({ ...compared, quantity: `pruned ${compared.quantity}` })),
    ...levelRows('adapter', bound, number, overall([softLogits, ungated, mergedLogits].map(({ levels }) => levels()))),
    compareLogits('logits with ĝ', expectedSoft, softLogits.logits),
    compareLogits('logits after pruning', expectedPruned, ungated.logits),
    compareLogits('logits of the merged model', expectedMerged, mergedLogits.logits),
  ]
}

const gatesWithoutNoise = ({ settings }: Model, { adapters }: TrainingState): Tensors =>
  Object.fromEntries(Object.entries(adapters).map(([name, { logTheta }]) => [name, reference.deterministicGate(settings)(logTheta)]))

/** The longest first, as in prediction. */
const inOrder = ({ inputIds, tokenTypeIds, labels }: Batch): Batch => {
  const order = inputIds.map((_, i) => i).sort((a, b) => (inputIds[b]?.length ?? 0) - (inputIds[a]?.length ?? 0))
  const sorted = <A>(of: readonly A[]): readonly A[] => order.flatMap((i) => of.slice(i, i + 1))
  return {
    inputIds: sorted(inputIds),
    labels: sorted(labels),
    ...(tokenTypeIds === undefined ? {} : { tokenTypeIds: sorted(tokenTypeIds) }),
  }
}

const referenceLogits = (
  { config, settings, base, batch }: Model,
  { adapters, head }: TrainingState,
  gates: Tensors,
  followed: Followed,
): Float64Array =>
  reference.encoder(config, { ...followed, scale: reference.adapterScale(settings) })({ base, adapters, head, gates }, inOrder(batch))
    .logits.data

/** Predicts as evaluation does, in batches of two. → the logits, and the rounding that the reference must follow */
const predicted = async (
  model: Model,
  target: Target,
  phase: SaloraPhase,
  parameters: Vector,
): Promise<Followed & { readonly logits: readonly number[] }> => {
  const assembly = buildAssembly(model, target.precision)
  const { engine, weights } = openRuntime(target)
  const stepResults: Results[] = []
  const telling: Engine = {
    open: async (outputs, ...rest) => {
      const session = await engine.open(withLevels(assembly, outputs), ...rest)
      return {
        ...session,
        run: async (feeds, into) => {
          const results = await session.run(feeds, into)
          stepResults.push(results)
          return results
        },
      }
    },
  }
  const predictor = await openPredictor(assembly, sequenceClassification(assembly.model, headOutputs(model.config)), phase, {
    engine: telling,
    weights,
  })
  const logits = await predictor.predict(parameters, toExamples(inOrder(model.batch)), 2).finally(predictor.release)
  return { logits: logits.flat(), ...followStep(model, target, stepResults) }
}

const headOnly = (model: Model, { accelerated }: LockstepResult, bare: SaloraPhase, target: Target): Vector => {
  const from = layoutFor(model, phaseIn(accelerated))
  return flatten(layoutFor(model, bare), ({ name }) => viewTensor(from, accelerated.parameters, name), findDtype(target))
}
