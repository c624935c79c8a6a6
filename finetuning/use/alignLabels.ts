/** Labeled data in terms of a trained model: its classes by the indices of the model's outputs. */
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { labelIndexIn } from '../data/labels.js'
import type { Example } from '../data/index.js'
import type { Evaluation } from '../tasks/index.js'
import { taskTypeOf } from '../tasks/taskTypeOf.js'
import type { TaskData } from '../tasks/taskType.js'

export type ModelClasses = {
  readonly outputs: ModelOutputs
  /** the classes in the order of the outputs; undefined: neither adapter nor model names them */
  readonly labelNames: readonly string[] | undefined
  readonly called: 'adapter' | 'model'
}

/** The data with class indices, and names, in the order of the model's outputs. @throws InputError if task type or classes differ */
export const alignLabels = (labeled: Evaluation, model: ModelClasses): TaskData => {
  const { evaluation } = labeled
  const { source } = evaluation
  const trainedFor = taskTypeOf(model.outputs, source)
  const [head, trainedHead] = [labeled.taskType, trainedFor].map(({ outputs }) => outputs(null).head)
  // embeddings compare any texts, and a decoder gives any text a probability
  if (labeled.taskType !== trainedFor && (head !== trainedHead || (head !== 'embedding' && head !== 'causal')))
    throw inputError(source, `${trainedFor.dataNoun}, as the ${model.called} was trained for`, labeled.taskType.dataNoun)
  const names = evaluation.labelNames
  if (names === null) return { ...labeled, labelNames: null }
  const indices = outputIndices(names, labeled, model)
  const outputOf = (label: number): number => indices[label] ?? label
  const isSameOrder = indices.every((output, i) => output === i)
  const examples = isSameOrder ? evaluation.examples : evaluation.examples.map((example) => new RelabeledExample(example, outputOf))
  return {
    ...labeled,
    evaluation: { ...evaluation, examples },
    labelNames: model.labelNames ?? namesByOutput(names, indices),
    ...(labeled.positive === undefined ? {} : { positive: outputOf(labeled.positive) }),
  }
}

/** A view of an example, so that texts are not copied. */
class RelabeledExample implements Example {
  constructor(
    private readonly example: Example,
    private readonly outputOf: (label: number) => number,
  ) {}
  get text(): string {
    return this.example.text
  }
  get textPair(): string | undefined {
    return this.example.textPair
  }
  get label(): number {
    return this.outputOf(this.example.label)
  }
  get labels(): readonly number[] | undefined {
    return this.example.labels?.map(this.outputOf)
  }
  get words(): ArrayLike<number> | undefined {
    return this.example.words
  }
  get row(): number {
    return this.example.row
  }
}

const namesByOutput = (names: readonly string[], indices: readonly number[]): readonly string[] => {
  const byOutput: string[] = []
  names.forEach((name, i) => {
    byOutput[indices[i] ?? i] = name
  })
  return byOutput
}

/**
 * The output of each of the data's classes: by name, if the model names its classes. A model without names is assumed to have a task's own order,
 * or the order of labels that are numbers (0, 1, LABEL_2). Nothing else shows the class of an output.
 * @throws InputError
 */
const outputIndices = (
  names: readonly string[],
  { evaluation: { source }, sorted = false }: Evaluation,
  { outputs, labelNames, called }: ModelClasses,
): readonly number[] => {
  if (labelNames !== undefined) {
    const indexOf = labelIndexIn(labelNames)
    const unknown = names.find((name) => indexOf(name) === undefined)
    if (unknown !== undefined) throw inputError(source, `the ${called}'s labels (${labelNames.join(', ')})`, JSON.stringify(unknown))
    return names.map((name) => indexOf(name) ?? NaN)
  }
  const numbers = names.map((name) => Number(/^(?:LABEL_)?(\d+)(?:\.0*)?$/.exec(name)?.[1] ?? NaN))
  const isNumbered = names.length === outputs.labels && names.every((_, i) => numbers.includes(i))
  if (sorted && !isNumbered)
    throw inputError(
      '--labels',
      `the ${outputs.labels} classes of the ${called} in the order of its outputs (such as ${oneLine(names.slice(0, 5).join(','))}), since ${called === 'model' ? 'its config.json does not name them' : 'neither adapter nor model names them'}`,
      'none given',
    )
  if (names.length !== outputs.labels) throw inputError(source, `${outputs.labels} classes, as the ${called} has`, String(names.length))
  return sorted ? numbers : names.map((_, i) => i)
}
