/** The assembly: all parts that a graph of a run is made of. Training, prediction, export and every comparison start from one. */
import type { CommonSettings } from '../settings/commonSettings.js'
import { buildWeightGroups } from '../settings/commonSettings.js'
import type { Method } from '../methods/method.js'
import type { Model } from '../models/architecture.js'
import type { TensorSource } from '../models/host.js'
import type { Objective } from '../objectives/objective.js'
import type { Precision } from '../precisions/precision.js'
import { parameterLayout, type ParameterLayout } from '../parameters/layout.js'

export type Assembly = {
  readonly model: Model
  /** the model's frozen tensors, in the precision's dtype */
  readonly frozen: TensorSource
  readonly method: Method
  readonly settings: CommonSettings
  readonly objective: Pick<Objective, 'tensors' | 'loss' | 'stepLoss' | 'outputs' | 'dimensions' | 'headInFiles'>
  readonly precision: Precision
  /** whether attention takes the queries of a text block by block (default: no); see batchFeeds.ts */
  readonly inBlocks?: boolean
}

/** An assembly of these parts. The model gets the dropout of the settings, and the objective gets that model. */
export const assemble = <O extends Assembly['objective']>(
  { model, ...parts }: Omit<Assembly, 'objective'>,
  makeObjective: (model: Model) => O,
): Omit<Assembly, 'objective'> & { readonly objective: O } => {
  const modelWithDropout = parts.settings.dropout === null ? model : model.withDropout(parts.settings.dropout)
  return { ...parts, model: modelWithDropout, objective: makeObjective(modelWithDropout) }
}

/** Names of a state's vectors beside its parameters and moments: those of the method's own optimizer. */
export const memoryNames = ({ method, settings }: Pick<Assembly, 'method' | 'settings'>, phase: unknown): readonly string[] =>
  method.train.optimizerExtension?.(phase, settings).names ?? []

/** The tensors that are trained in a phase, those of the method and those of the head, in one vector. */
export const buildLayout = (
  { method, settings, objective }: Pick<Assembly, 'method' | 'settings' | 'objective'>,
  phase: unknown,
): ParameterLayout => parameterLayout([...method.train.tensors(phase, settings), ...objective.tensors(buildWeightGroups(settings))])
