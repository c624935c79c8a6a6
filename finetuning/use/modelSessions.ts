/** Sessions of a trained model on a device: under an objective, as predictions of texts, or as a decoder. From any storage. */
import type { Device } from '../../accelerated/engines/devices/device.js'
import { inputError, formatValue } from '../../accelerated/errors/inputError.js'
import { option } from '../../accelerated/errors/words.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { nameOutputs } from '../../accelerated/formats/modelConfig.js'
import { openDecoder, openSharedDecoder, type Decoder } from '../../accelerated/generation/decoder.js'
import type { CausalOutputs, ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { Examples } from '../../accelerated/models/packing.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { flatten } from '../../accelerated/parameters/vectors.js'
import { checkWeightsFit } from '../../accelerated/precisions/memoryCheck.js'
import { checkDevice, openFrozen, type Precision } from '../../accelerated/precisions/precision.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { buildLayout, type Assembly } from '../../accelerated/training/assembly.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { availablePositions } from '../../accelerated/training/runLength.js'
import type { EncodedText, Text, Reading } from '../tasks/taskType.js'
import { findTaskType } from '../tasks/findTaskType.js'
import { resolveLabels, adapterNoun } from './attachAdapter.js'

/** Names that editors complete; others are refused when the model is opened. */
export type DeviceName = NonNullable<SettingsInput['device']> | (string & {})
export type PrecisionName = NonNullable<SettingsInput['precision']> | (string & {})

type Threads = {
  /** CPU threads; 0: chosen by ONNX Runtime */
  readonly threads: number
}
export type MachineOptions = Threads & { readonly precision: PrecisionName }
export type BatchOptions = MachineOptions & { readonly batchSize: number }

/** A trained model under an objective, with everything that a session needs. @throws InputError or SettingsError if the precision does not support it */
export const openAssembly = async (
  { base, adapter, head }: TrainedModel,
  objective: Assembly['objective'],
  { precision, threads }: Threads & { readonly precision: Precision },
  device: Device,
) => {
  await checkDevice(precision, device)
  precision.check?.(new Set(adapter.tensors.keys()), base, adapter.method.name)
  checkWeightsFit(precision, base)
  const frozen = await openFrozen(precision, base)
  const { model, method, settings, phase } = adapter
  const assembly: Assembly = { model, frozen: frozen.tensor, method, settings, objective, precision }
  const findNumbers = (entry: string) => (adapter.tensors.get(entry) ?? head.get(entry))?.data
  const parameters = flatten(buildLayout(assembly, phase), (entry) => findNumbers(entry.name), precision.dtype)
  return { assembly, phase, parameters, runtime: { engine: device.engine({ threads }), weights: frozen.weights } }
}

/** Reports how many examples are done, after each batch. */
export type OnProgress = (done: number) => void

/**
 * A session that answers examples. Call `release` after the last one.
 * @param use scoring: the graph of a run's own evaluation, for the same bits. answering: the adapter is part of the graph, which is faster; in int8,
 * other last bits round other values
 * @throws as openAssembly
 */
export const openAnswers = async <E extends TrainingExample, O>(
  trained: TrainedModel,
  objective: Objective<E, O>,
  { batchSize, precision, threads }: BatchOptions,
  device: Device,
  use: 'scoring' | 'answering' = 'answering',
) => {
  const { assembly, phase, parameters, runtime } = await openAssembly(
    trained,
    objective,
    { precision: findPrecision(precision), threads },
    device,
  )
  const predictor = await openPredictor(assembly, objective, phase, runtime, {}, use === 'answering' ? parameters : undefined)
  return {
    answers: (examples: Examples<E>, onProgress?: OnProgress) => predictor.predict(parameters, examples, batchSize, onProgress),
    release: predictor.release,
  }
}

const defaultMaxLength = 128

/** Tokens per example. @param maxLength null: 128, or the model's positions if they are fewer @throws InputError if the model has fewer positions */
export const resolveMaxLength = ({ base, adapter }: TrainedModel, maxLength: number | null): number => {
  const { left, description } = availablePositions(adapter.method, adapter.settings, base.model)
  const tokens = maxLength ?? Math.min(defaultMaxLength, left)
  if (tokens > left) throw inputError(option('maxLength'), `at most ${description}`, String(tokens))
  return tokens
}

export type OpenTextDecoder = (trained: TrainedModel, machine: MachineOptions, device: Device) => Promise<Decoder>

/** Opens the decoder of a causal language model. @throws InputError or SettingsError if the precision does not support the model */
export const openTextDecoder: OpenTextDecoder = async (trained, machine, device) => {
  const { assembly, phase, parameters, runtime } = await decoderAssembly(trained, machine, device)
  return openDecoder(assembly, phase, parameters, runtime)
}

/** The decoder of a base, whose rows each have an adapter of their own. @param trained the base with one of them, as toOneRank makes them */
export const openSharedTextDecoder: OpenTextDecoder = async (trained, machine, device) => {
  const { assembly, phase, runtime } = await decoderAssembly(trained, machine, device)
  return openSharedDecoder(assembly, phase, runtime)
}

const decoderAssembly = (trained: TrainedModel, { precision: name, threads }: MachineOptions, device: Device) => {
  const [{ model, method }, precision] = [trained.adapter, findPrecision(name)]
  return openAssembly(trained, causalLM(model, method), { precision: precision.decoding ?? precision, threads }, device)
}

// Predictions

export type TrainedAdapter = {
  /** Its name in messages: the adapter, or the model if that has its own head. */
  readonly called?: 'adapter' | 'model'
  readonly device: string
  readonly outputs: Exclude<ModelOutputs, CausalOutputs>
  /** the classes in the order of the outputs, if adapter or model name them */
  readonly labelNames: readonly string[] | undefined
  /** → [texts][labels]: logits, or the value of a regression. Of token classification: [texts][words · labels]. Of embeddings: the vectors of each text's parts */
  readonly predict: (texts: readonly Text[], onProgress?: OnProgress) => Promise<readonly (readonly number[])[]>
  /** Waits for running calls, then frees the session. It may be called twice; later calls of `predict` are refused. */
  readonly release: () => Promise<void>
}

/** An open adapter: `predict` in one call, or in two parts, so that one text that cannot be encoded does not affect the others. */
export type OpenAdapter = TrainedAdapter & {
  /** tokens of a text that the adapter reads, special ones included */
  readonly maxLength: number
  /** What `salora predict` prints, one object per text: `{ label, score, scores }`, `{ labels, scores }`, `{ value }` or `{ entities }`. */
  readonly predictions: (texts: readonly Text[], onProgress?: OnProgress) => Promise<readonly object[]>
  /** @throws InputError or SettingsError for a text that the tokenizer or the model cannot take */
  readonly encode: (text: Text) => EncodedText
  readonly answer: Reader['answer']
}

type PredictionOptions = BatchOptions & {
  readonly maxLength: number | null
  /** the run to name in errors */
  readonly trainedBy?: { readonly run: string } | undefined
}

/** @throws InputError if the model has fewer positions than `maxLength`, or generates text */
export const openPredictions = async (
  trained: TrainedModel,
  { maxLength, trainedBy, ...machine }: PredictionOptions,
  device: Device,
): Promise<OpenAdapter> => {
  const { base, adapter } = trained
  const { outputs } = adapter
  if (outputs.head === 'causal')
    throw inputError(
      trainedBy?.run ?? base.folder,
      'a classifier, or an adapter of one',
      'what writes text (salora generate, or salora evaluate)',
    )
  const taskType = findTaskType(outputs, base.folder)
  const limit = resolveMaxLength(trained, maxLength)
  const reader = await openReader(trained, limit, machine, device)
  const { call, release } = untilRelease(base.folder, reader.release)
  const encode: OpenAdapter['encode'] = (text) => reader.encode(checkText(text))
  const answer: OpenAdapter['answer'] = (encodings, onProgress) => call(() => reader.answer(encodings, onProgress))
  const labelNames = resolveLabels(trained)
  const predict: OpenAdapter['predict'] = async (texts, onProgress) => answer(checkTexts(texts).map(encode), onProgress)
  return {
    called: adapterNoun(trained),
    ...{ device: device.name, outputs, labelNames, maxLength: limit, encode, answer, predict, release },
    predictions: async (texts, onProgress) => {
      const names = nameOutputs(outputs, labelNames)
      const encodings = checkTexts(texts).map(encode)
      const answers = await answer(encodings, onProgress)
      return answers.map(
        (output, i) =>
          taskType.predictions?.predict(output, names, { text: texts[i]?.text ?? '', ...encodings[i] }).json ?? { outputs: output },
      )
    },
  }
}

// Texts that a program hands to an open model, checked: a caller in JavaScript has no types, and a number has no tokens.
/** @throws InputError for what is no list, and for the first element that is no text */
const checkTexts = (given: unknown): readonly Text[] => {
  if (!Array.isArray(given)) throw inputError('texts', 'a list such as [{ text: "…" }]', formatValue(given))
  return given.map((one: unknown, i) => checkText(one, `texts[${i}]`))
}

/** @throws InputError */
const checkText = (given: unknown, where = 'text'): Text => {
  if (typeof given !== 'object' || given === null)
    throw inputError(where, 'an object with a text, such as { text: "…" }', formatValue(given))
  const { text, textPair } = given as Readonly<Record<string, unknown>>
  if (typeof text !== 'string')
    throw inputError(where, 'an object with a text, such as { text: "…" }', formatValue(text === undefined ? given : text))
  if (textPair !== undefined && typeof textPair !== 'string')
    throw inputError(`${where}.textPair`, 'a text, or none', formatValue(textPair))
  return given as Text
}

/** Calls of a session until it is released: the release waits for those that run, and later ones are refused. */
type UntilRelease = {
  /** @throws InputError after release */
  readonly call: <T>(work: () => Promise<T>) => Promise<T>
  /** It may be called again. */
  readonly release: () => Promise<void>
}

/** @param where names the session in messages */
const untilRelease = (where: string, release: () => Promise<void>): UntilRelease => {
  const running = new Set<Promise<unknown>>()
  let releasing: Promise<void> | null = null
  return {
    call: async (work) => {
      if (releasing !== null) throw inputError(where, 'calls before release', 'one after it')
      const answer = work()
      running.add(answer)
      return answer.finally(() => running.delete(answer))
    },
    release: () => (releasing ??= Promise.allSettled(running).then(release)),
  }
}

/** How a trained model reads texts: their tokens, and a session that answers them, by its task type. */
type Reader = Pick<Reading, 'encode'> & {
  /** → [texts][labels], [texts][words · labels], or the embeddings of one text or two */
  readonly answer: (encodings: readonly EncodedText[], onProgress?: OnProgress) => Promise<readonly (readonly number[])[]>
  readonly release: () => Promise<void>
}

/** @param maxLength tokens per text */
const openReader = async (trained: TrainedModel, maxLength: number, machine: BatchOptions, device: Device): Promise<Reader> => {
  const { encode, objective, toExample } = await openReading(trained, maxLength)
  const { answers, release } = await openAnswers(trained, objective, machine, device)
  return {
    ...{ encode, release },
    answer: (encodings, onProgress) => {
      const examples = encodings.map(toExample)
      return answers({ length: examples.length, at: (i) => examples[i] }, onProgress)
    },
  }
}

/** The tokens of texts, as the task type of a model that predicts reads them. */
export const openReading = async (trained: TrainedModel, maxLength: number): Promise<Reading> => {
  const { outputs } = trained.adapter
  const { name, openReading: open } = findTaskType(outputs, trained.base.folder)
  if (open === undefined) throw new Error(`openReading: expected a task type that predicts, got ${name}`)
  return open(trained, outputs, maxLength)
}
