/** A trained adapter, opened for use: model, tokenizer, adapter and head together answer texts with outputs. */
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { checkLabelNames } from '../../accelerated/checkpoints/labelNames.js'
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { checkFinite } from '../../accelerated/checkpoints/finiteWeights.js'
import { frozenHead, headTensor, openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { showShape } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import type { Encoding } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Adapter, Weights } from '../../accelerated/formats/adapter.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import type { Method } from '../../accelerated/methods/method.js'
import type { Examples } from '../../accelerated/models/packing.js'
import { causalOutputs, headOf, type SequenceOutputs } from '../../accelerated/objectives/taskType.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { checkDevice, openFrozen } from '../../accelerated/precisions/precision.js'
import { checkWeightsFit } from '../../accelerated/precisions/memoryCheck.js'
import { methodOf, resolveSettings } from '../../accelerated/training/settings.js'
import { layoutOf, type Assembly } from '../../accelerated/training/assembly.js'
import { flatten } from '../../accelerated/parameters/vectors.js'
import { availablePositions } from '../../accelerated/training/runLength.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { checkModelFiles, type RunInputs } from '../runs/runFingerprint.js'

export type TrainedAdapterOptions = {
  /** a folder in Hugging Face layout, or a hub id */
  readonly model: string
  /** the commit of a hub id; its main branch if none is given */
  readonly revision?: string
  /** a folder in the layout of a method; null where the model classifies as it is */
  readonly adapter: string | null
  /** the classes in the order of the outputs, where neither adapter nor model names them */
  readonly labelNames?: ReadonlyArray<string>
  readonly device: string
  readonly precision: string
  readonly threads: number
  /** tokens an example; more than the encoder has positions for is an error, null is 128 or those positions */
  readonly maxLength: number | null
  readonly batchSize: number
  /** the run that trained the adapter: the model must have the files that it then had */
  readonly trainedBy?: { readonly run: string; readonly inputs: RunInputs }
}

export type Text = { readonly text: string; readonly textPair?: string | undefined }

export type TrainedAdapter = {
  /** what messages call it: the adapter, unless it is a model that answers as it is */
  readonly called?: 'adapter' | 'model'
  readonly device: string
  readonly outputs: SequenceOutputs
  /** the classes in the order of the outputs, where adapter or model name them */
  readonly labelNames: ReadonlyArray<string> | undefined
  /** → [texts][labels]: logits, or in a regression the value. `told` hears after each batch how many texts are done. */
  readonly predict: (texts: ReadonlyArray<Text>, told?: (done: number) => void) => Promise<ReadonlyArray<ReadonlyArray<number>>>
  readonly release: () => Promise<void>
}

/** What predict does in one, in two: so that a text that cannot be taken spoils no other. */
export type OpenAdapter = TrainedAdapter & {
  /** @throws Mistake or SettingsError for a text that the tokenizer or the model cannot take */
  readonly encode: (text: Text) => Encoding
  readonly answer: (encodings: ReadonlyArray<Encoding>, told?: (done: number) => void) => Promise<ReadonlyArray<ReadonlyArray<number>>>
}

const usualLength = 128

const usualOptions = { device: 'auto', precision: 'float32', threads: 0, maxLength: null, batchSize: 32 } as const

/**
 * Opens a trained adapter on its model, to answer texts: `adapter` is a run's `adapter/`, or a folder that PEFT or the adapters library
 * wrote. What is not given is as `salora predict` has it; `maxLength` should be that of the training. Call `release` when no more texts come.
 * @throws Mistake or DeviceError with one line for the user
 */
export const openTrainedAdapter = async (
  given: Pick<TrainedAdapterOptions, 'model' | 'adapter'> & Partial<TrainedAdapterOptions>,
): Promise<OpenAdapter> => {
  const options: TrainedAdapterOptions = { ...usualOptions, ...given }
  const device = await chooseDevice(options.device)
  return openPredictions(await loadTrainedModel(options), options, device)
}

/** Model, adapter and head, checked; no session yet. @throws Mistake */
export const loadTrainedModel = async (
  options: Pick<TrainedAdapterOptions, 'model' | 'revision' | 'adapter' | 'trainedBy' | 'labelNames'>,
): Promise<TrainedModel> => {
  const { base, adapter } = await openAdapted(options)
  await checkFinite(base, headOf(base.model, base.outputs).tensors)
  const trained = { base, adapter, head: await wholeHead(base, adapter, options.adapter) }
  return options.labelNames === undefined ? trained : withLabels(trained, options.labelNames)
}

/** The same of what writes text, whatever config.json says of classes. @throws Mistake for a model that is no decoder, and for an adapter of a classifier */
export const loadTextModel = async (
  options: Pick<TrainedAdapterOptions, 'model' | 'revision' | 'adapter' | 'trainedBy'>,
): Promise<TrainedModel> => {
  const { base, adapter } = await openAdapted(options)
  const { type, spec, causalHead } = base.model
  if (causalHead === undefined) throw inputError(base.folder, 'a decoder, which writes text', `a model of type ${type}, an ${spec.kind}`)
  const { taskType } = adapter.outputs
  if (options.adapter !== null && taskType !== 'causal')
    throw inputError(options.adapter, 'an adapter that writes text (task_type CAUSAL_LM)', `one of a ${taskType}`)
  const own = { ...adapter, outputs: causalOutputs }
  await checkFinite(
    base,
    [...frozenHead(base, causalOutputs)].map(([name, { shape }]) => [name, shape] as const),
  )
  return { base, adapter: own, head: await wholeHead(base, own, options.adapter) }
}

/** Model and adapter, whose numbers are not looked at yet. @throws Mistake */
const openAdapted = async (
  options: Pick<TrainedAdapterOptions, 'model' | 'revision' | 'adapter' | 'trainedBy'>,
): Promise<Pick<TrainedModel, 'base' | 'adapter'>> => {
  const resolved = await resolveModel(options.model, options.revision === undefined ? {} : { revision: options.revision })
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  if (options.trainedBy !== undefined) await checkModelFiles(base, options.trainedBy.inputs, options.trainedBy.run)
  return { base, adapter: options.adapter === null ? noAdapter(base) : await readAdapter(options.adapter, base) }
}

/** The names of the classes, where adapter or model have them: those that transformers makes up are none. */
export const resolveLabels = ({ base, adapter }: TrainedModel): ReadonlyArray<string> | undefined => {
  const names = adapter.labelNames ?? (base.labelNames?.length === adapter.outputs.labels ? base.labelNames : undefined)
  return names?.every((name, i) => name === `LABEL_${i}`) ? undefined : names
}

/** @throws Mistake where they are not the adapter's own, or not as many as it has outputs */
const withLabels = (trained: TrainedModel, given: ReadonlyArray<string>): TrainedModel => {
  const [own, { outputs }] = [resolveLabels(trained), trained.adapter]
  const told = oneLine(given.join(','))
  if (own !== undefined && own.join('\n') !== given.join('\n'))
    throw inputError('--labels', `none, as adapter or model name the classes (${oneLine(own.slice(0, 12).join(','))})`, told)
  if (outputs.taskType === 'regression') throw inputError('--labels', 'none, as a regression has no classes', told)
  if (given.length !== outputs.labels || new Set(given).size !== given.length)
    throw inputError('--labels', `${outputs.labels} names, as the adapter has outputs, each once`, told)
  checkLabelNames(given, '--labels')
  return { ...trained, adapter: { ...trained.adapter, labelNames: given } }
}

/** @throws Mistake for a maxLength that the encoder has no positions for */
export const openPredictions = async (
  trained: TrainedModel,
  { precision: name, threads, batchSize, maxLength }: Omit<TrainedAdapterOptions, 'model' | 'adapter' | 'device'>,
  device: Device,
): Promise<OpenAdapter> => {
  const { base, adapter } = trained
  const { outputs } = adapter
  if (outputs.taskType === 'causal')
    throw inputError(base.folder, 'a classifier, or an adapter of one', 'what writes text (salora generate, or salora evaluate)')
  const encode = await encodingOf(trained, maxLength)
  const objective = sequenceClassification(adapter.model, outputs)
  const { answers, release } = await openAnswers(trained, objective, { precision: name, threads, batchSize }, device)
  const answer: OpenAdapter['answer'] = (encodings, told) => {
    const examples = encodings.map((encoding, row) => ({ ...encoding, row, label: 0 })) // a label is only needed for a loss
    return answers({ length: examples.length, at: (i) => examples[i] }, told)
  }
  return {
    called: adapter.method === headOnly ? 'model' : 'adapter',
    device: device.name,
    outputs,
    labelNames: resolveLabels(trained),
    encode,
    answer,
    predict: async (texts, told) => answer(texts.map(encode), told),
    release,
  }
}

/** A trained model under an objective, with all that a session of it needs. @throws Mistake or SettingsError where the precision cannot serve it */
export const openAssembly = async (
  { base, adapter, head }: TrainedModel,
  objective: Assembly['objective'],
  { precision: name, threads }: Pick<TrainedAdapterOptions, 'precision' | 'threads'>,
  device: Device,
) => {
  const precision = precisionOf(name)
  await checkDevice(precision, device)
  precision.check?.(new Set(adapter.tensors.keys()), base, adapter.method.name)
  checkWeightsFit(precision, base)
  const frozen = await openFrozen(precision, base)
  const { model, method, settings, phase } = adapter
  const assembly: Assembly = { model, frozen: frozen.tensor, method, settings, objective, precision }
  const numbersOf = (entry: string) => (adapter.tensors.get(entry) ?? head.get(entry))?.data
  const parameters = flatten(layoutOf(assembly, phase), (entry) => numbersOf(entry.name), precision.dtype)
  return { assembly, phase, parameters, runtime: { engine: device.engine({ threads }), weights: frozen.weights } }
}

/** The same, to answer examples. @throws as openAssembly */
export const openAnswers = async <E extends TrainingExample, O>(
  trained: TrainedModel,
  objective: Objective<E, O>,
  { batchSize, ...machine }: Pick<TrainedAdapterOptions, 'precision' | 'threads' | 'batchSize'>,
  device: Device,
) => {
  const { assembly, phase, parameters, runtime } = await openAssembly(trained, objective, machine, device)
  const predictor = await openPredictor(assembly, objective, phase, runtime)
  return {
    answers: (examples: Examples<E>, told?: (done: number) => void) => predictor.predict(parameters, examples, batchSize, told),
    release: predictor.release,
  }
}

/** Texts to token ids, at most `maxLength` (null: 128, or the model's positions). @throws Mistake */
export const encodingOf = async (trained: TrainedModel, wanted: number | null): Promise<(text: Text) => Encoding> => {
  const { base } = trained
  const maxLength = lengthFor(trained, wanted)
  const tokenizer = await loadTokenizer(base.folder, base.model)
  return ({ text, textPair }) => tokenizer.encode(text, textPair, maxLength)
}

/** Tokens of an example; null: 128, or the model's positions. @throws Mistake for more than there are positions for */
export const lengthFor = ({ base, adapter }: TrainedModel, wanted: number | null): number => {
  const { left, description } = availablePositions(adapter.method, adapter.settings, base.model)
  const maxLength = wanted ?? Math.min(usualLength, left)
  if (maxLength > left) throw inputError('--max-length', `at most ${description}`, String(maxLength))
  return maxLength
}

/** The method of a model without adapter: it trains nothing but the head. */
const headOnly: Method = {
  ...methodOf('full'),
  train: { tensors: () => [], wrap: () => (host) => host },
  phases: { ...methodOf('full').phases, start: () => ({}) },
  export: { ...methodOf('full').export, merge: () => null },
}

const noAdapter = ({ model, baseModelName, outputs }: ModelFolder): Adapter => {
  const settings = resolveSettings({ method: 'full' })
  return {
    model,
    baseModelName,
    method: headOnly,
    settings,
    phase: {},
    tensors: new Map(),
    outputs,
    head: new Map(),
    labelNames: undefined,
  }
}

/** The adapter's head or, where it brings only a part, or there is none, the rest from the model. */
const wholeHead = async (
  base: ModelFolder,
  { head: own, model, outputs, method }: Adapter,
  folder: string | null,
): Promise<ReadonlyMap<string, Weights>> => {
  const head = new Map<string, Weights>()
  for (const [name, shape] of headOf(model, outputs, method).tensors) {
    const [trained, entry] = [own.get(name), headTensor(base, name, shape)]
    if (trained !== undefined) head.set(name, trained)
    else if (entry !== undefined) head.set(name, { shape, data: await readTensor(entry) })
    else if (folder === null)
      throw inputError(
        base.folder,
        `a classification head (${name} ${showShape(shape)}), as no --adapter is given`,
        base.others.has(name) ? `one of shape ${showShape(base.others.get(name)?.shape ?? [])}` : 'none in the model',
      )
    else throw inputError(folder, `${name} [${shape.join(', ')}] of the head in the adapter or in ${base.folder}`, 'it in neither')
  }
  return head
}
