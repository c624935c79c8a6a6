/** Opens a loaded model and its adapter for prediction, on any device. */
import type { Device } from '../../accelerated/engines/devices/device.js'
import { inputError, shown } from '../../accelerated/errors/inputError.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { labelsOf } from '../../accelerated/formats/modelConfig.js'
import type { CausalOutputs, ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { EncodedText, Text, Reading } from '../tasks/taskType.js'
import { taskTypeOf } from '../tasks/taskTypeOf.js'
import { resolveLabels, calledOf } from './modelWithAdapter.js'
import { resolveMaxLength, type MachineOptions, type OnProgress, openAnswers } from './openModel.js'
import type { TrainedModelOptions } from './trainedModel.js'

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

/** @throws InputError if the model has fewer positions than `maxLength`, or generates text */
export const openPredictions = async (
  trained: TrainedModel,
  {
    maxLength,
    trainedBy,
    ...machine
  }: MachineOptions & Pick<TrainedModelOptions, 'trainedBy'> & { readonly maxLength: number | null; readonly batchSize: number },
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
  const taskType = taskTypeOf(outputs, base.folder)
  const limit = resolveMaxLength(trained, maxLength)
  const reader = await openReader(trained, limit, machine, device)
  const { call, release } = untilRelease(base.folder, reader.release)
  const encode: OpenAdapter['encode'] = (text) => reader.encode(givenText(text))
  const answer: OpenAdapter['answer'] = (encodings, onProgress) => call(() => reader.answer(encodings, onProgress))
  const labelNames = resolveLabels(trained)
  const predict: OpenAdapter['predict'] = async (texts, onProgress) => answer(givenTexts(texts).map(encode), onProgress)
  return {
    called: calledOf(trained),
    ...{ device: device.name, outputs, labelNames, maxLength: limit, encode, answer, predict, release },
    predictions: async (texts, onProgress) => {
      const names = labelsOf(outputs, labelNames)
      const encodings = givenTexts(texts).map(encode)
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
const givenTexts = (given: unknown): readonly Text[] => {
  if (!Array.isArray(given)) throw inputError('texts', 'a list such as [{ text: "…" }]', shown(given))
  return given.map((one: unknown, i) => givenText(one, `texts[${i}]`))
}

/** @throws InputError */
const givenText = (given: unknown, where = 'text'): Text => {
  if (typeof given !== 'object' || given === null) throw inputError(where, 'an object with a text, such as { text: "…" }', shown(given))
  const { text, textPair } = given as Readonly<Record<string, unknown>>
  if (typeof text !== 'string')
    throw inputError(where, 'an object with a text, such as { text: "…" }', shown(text === undefined ? given : text))
  if (textPair !== undefined && typeof textPair !== 'string') throw inputError(`${where}.textPair`, 'a text, or none', shown(textPair))
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

type Machine = MachineOptions & { readonly batchSize: number }

/** @param maxLength tokens per text */
const openReader = async (trained: TrainedModel, maxLength: number, machine: Machine, device: Device): Promise<Reader> => {
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
  const { name, openReading: open } = taskTypeOf(outputs, trained.base.folder)
  if (open === undefined) throw new Error(`openReading: expected a task type that predicts, got ${name}`)
  return open(trained, outputs, maxLength)
}
