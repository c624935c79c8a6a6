/** How a trained model reads texts: their tokens, and a session that answers them, by the model's head. */
import { loadTokenizer, type Encoding } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import type { CausalOutputs, ModelOutputs, SequenceOutputs, TokenOutputs } from '../../accelerated/models/modelOutputs.js'
import { sentenceEmbedding } from '../../accelerated/objectives/sentenceEmbedding.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { tokenClassification } from '../../accelerated/objectives/tokenClassification.js'
import { wordsIn } from '../data/words.js'
import type { ReadText } from '../tasks/taskType.js'
import { encodePair, type PairEncoding } from '../tokens/pairTokens.js'
import { encodeWords, type WordEncoding } from '../tokens/wordTokens.js'
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
export const openReader = (
  trained: TrainedModel,
  outputs: Exclude<ModelOutputs, CausalOutputs>,
  maxLength: number,
  machine: Machine,
  device: Device,
): Promise<Reader> => {
  if (outputs.head === 'embedding') return embeddingReader(trained, maxLength, machine, device)
  return outputs.head === 'token'
    ? tokenReader(trained, outputs, maxLength, machine, device)
    : sequenceReader(trained, outputs, maxLength, machine, device)
}

const embeddingReader = async (trained: TrainedModel, maxLength: number, machine: Machine, device: Device): Promise<Reader> => {
  const encode = await openPairEncoder(trained, maxLength)
  const { answers, release } = await openAnswers(trained, sentenceEmbedding(trained.adapter.model, 'ranking'), machine, device)
  return {
    ...{ encode, release },
    answer: (encodings, onProgress) => {
      const examples = encodings.map(({ ends = [], ...encoding }, row) => ({ ...encoding, ends, row, score: NaN }))
      return answers({ length: examples.length, at: (i) => examples[i] }, onProgress)
    },
  }
}

/** A function from a text or a pair to the tokens of each text. */
export const openPairEncoder = async ({ base }: TrainedModel, maxLength: number): Promise<(text: Text) => PairEncoding> => {
  const tokenizer = await loadTokenizer(base.folder, base.model)
  return ({ text, textPair }) => encodePair(tokenizer, text, textPair, maxLength)
}

const sequenceReader = async (
  trained: TrainedModel,
  outputs: SequenceOutputs,
  maxLength: number,
  machine: Machine,
  device: Device,
): Promise<Reader> => {
  const encode = await openEncoder(trained, maxLength)
  const { answers, release } = await openAnswers(trained, sequenceClassification(trained.adapter.model, outputs), machine, device)
  return {
    ...{ encode, release },
    answer: (encodings, onProgress) => {
      const examples = encodings.map((encoding, row) => ({ ...encoding, row, label: 0 })) // only the loss reads the label
      return answers({ length: examples.length, at: (i) => examples[i] }, onProgress)
    },
  }
}

const tokenReader = async (
  trained: TrainedModel,
  outputs: TokenOutputs,
  maxLength: number,
  machine: Machine,
  device: Device,
): Promise<Reader> => {
  const encode = await openWordEncoder(trained, maxLength)
  const { answers, release } = await openAnswers(trained, tokenClassification(trained.adapter.model, outputs), machine, device)
  return {
    ...{ encode, release },
    answer: (encodings, onProgress) => {
      const examples = encodings.map(({ targets = [], places = [], ...encoding }, row) => ({ ...encoding, targets, places, row }))
      return answers({ length: examples.length, at: (i) => examples[i] }, onProgress)
    },
  }
}

/** A function from a text to the tokens of its words: those that are given, or those that `wordsIn` finds. */
export const openWordEncoder = async (
  { base }: TrainedModel,
  maxLength: number,
): Promise<(text: Text) => WordEncoding & Required<Pick<ReadText, 'words'>>> => {
  const tokenizer = await loadTokenizer(base.folder, base.model)
  return ({ text, textPair, words = wordsIn(text) }) => {
    if (textPair !== undefined)
      throw inputError('text', 'one text, as the model classifies its words', `a second one (${quoted(textPair, 40)})`)
    return { ...encodeWords(tokenizer, text, words, null, maxLength), words }
  }
}
