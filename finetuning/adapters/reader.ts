/** How a trained model reads texts: their tokens, and a session that answers them, by the model's head. */
import { loadTokenizer, type Encoding } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import type { CausalOutputs, ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { sentenceEmbedding } from '../tasks/embeddings/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { tokenClassification } from '../tasks/tokenClassification/objective.js'
import { wordsIn } from '../tasks/tokenClassification/words.js'
import type { ReadText } from '../tasks/taskType.js'
import { encodePair, type PairEncoding } from '../tasks/embeddings/tokens.js'
import { encodeWords, type WordEncoding } from '../tasks/tokenClassification/tokens.js'
import { openAnswers, openEncoder, type MachineOptions, type OnProgress, type Text } from './openModel.js'

/** A text's tokens. words, places, targets: of a model that classifies tokens */
export type EncodedText = Encoding & Pick<ReadText, 'words' | 'ends'> & Partial<Pick<WordEncoding, 'places' | 'targets'>>

export type Reader = {
  /** @throws InputError or SettingsError for a text that the tokenizer or the model cannot take */
  readonly encode: (text: Text) => EncodedText
  /** → [texts][labels], [texts][words · labels], or the embeddings of one text or two */
  readonly answer: (encodings: ReadonlyArray<EncodedText>, onProgress?: OnProgress) => Promise<ReadonlyArray<ReadonlyArray<number>>>
  readonly release: () => Promise<void>
}

type Machine = MachineOptions & { readonly batchSize: number }

/** @param maxLength tokens per text */
export const openReader = async (
  trained: TrainedModel,
  outputs: Exclude<ModelOutputs, CausalOutputs>,
  maxLength: number,
  machine: Machine,
  device: Device,
): Promise<Reader> => {
  const { model } = trained.adapter
  /** @param exampleOf what the objective reads of a text; only its loss reads a label */
  const reader = async <E extends TrainingExample>(
    encode: Reader['encode'],
    objective: Objective<E, ReadonlyArray<number>>,
    exampleOf: (encoding: EncodedText, row: number) => E,
  ): Promise<Reader> => {
    const { answers, release } = await openAnswers(trained, objective, machine, device)
    return {
      ...{ encode, release },
      answer: (encodings, onProgress) => {
        const examples = encodings.map(exampleOf)
        return answers({ length: examples.length, at: (i) => examples[i] }, onProgress)
      },
    }
  }
  if (outputs.head === 'embedding')
    return reader(await openPairEncoder(trained, maxLength), sentenceEmbedding(model, 'ranking'), ({ ends = [], ...encoding }, row) => ({
      ...encoding,
      ...{ ends, row, score: NaN },
    }))
  if (outputs.head === 'token')
    return reader(
      await openWordEncoder(trained, maxLength),
      tokenClassification(model, outputs),
      ({ targets = [], places = [], ...encoding }, row) => ({ ...encoding, targets, places, row }),
    )
  return reader(await openEncoder(trained, maxLength), sequenceClassification(model, outputs), (encoding, row) => ({
    ...encoding,
    ...{ row, label: 0 },
  }))
}

/** A function from a text or a pair to the tokens of each text. */
export const openPairEncoder = async ({ base }: TrainedModel, maxLength: number): Promise<(text: Text) => PairEncoding> => {
  const tokenizer = await loadTokenizer(base.folder, base.model, base.storage)
  return ({ text, textPair }) => encodePair(tokenizer, text, textPair, maxLength)
}

/** A function from a text to the tokens of its words: those that are given, or those that `wordsIn` finds. */
export const openWordEncoder = async (
  { base }: TrainedModel,
  maxLength: number,
): Promise<(text: Text) => WordEncoding & Required<Pick<ReadText, 'words'>>> => {
  const tokenizer = await loadTokenizer(base.folder, base.model, base.storage)
  return ({ text, textPair, words = wordsIn(text) }) => {
    if (textPair !== undefined)
      throw inputError('text', 'one text, as the model classifies its words', `a second one (${quoted(textPair, 40)})`)
    return { ...encodeWords(tokenizer, text, words, null, maxLength), words }
  }
}
