/** The names of a trained model's classes. */
import { checkLabelNames } from '../../accelerated/checkpoints/labelNames.js'
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { taskTypeOf } from '../tasks/table.js'

/** The classes' names in the adapter or the model. transformers' placeholders (LABEL_0, …) do not count: undefined. */
export const resolveLabels = ({ base, adapter }: TrainedModel): ReadonlyArray<string> | undefined => {
  const names = adapter.labelNames ?? (base.labelNames?.length === adapter.outputs.labels ? base.labelNames : undefined)
  return names?.every((name, i) => name === `LABEL_${i}`) ? undefined : names
}

/** The trained model with names from the user. @throws InputError if it has other names, or another number of outputs */
export const withLabelNames = (trained: TrainedModel, names: ReadonlyArray<string>): TrainedModel => {
  const [stored, { outputs }] = [resolveLabels(trained), trained.adapter]
  const got = oneLine(names.join(','))
  if (stored !== undefined && stored.join('\n') !== names.join('\n'))
    throw inputError('--labels', `none, as adapter or model name the classes (${oneLine(stored.slice(0, 12).join(','))})`, got)
  const { labelNames: refusal } = taskTypeOf(outputs, trained.base.folder).refuses
  if (refusal !== undefined) throw inputError('--labels', refusal, got)
  if (names.length !== outputs.labels || new Set(names).size !== names.length)
    throw inputError('--labels', `${outputs.labels} names, as the adapter has outputs, each once`, got)
  checkLabelNames(names, '--labels')
  return { ...trained, adapter: { ...trained.adapter, labelNames: names } }
}
