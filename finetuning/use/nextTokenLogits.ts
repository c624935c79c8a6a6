/** Next-token logits of a decoder and of its ONNX export, to compare them. */
import { cacheNames } from '../../accelerated/formats/cachedInference.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { parts } from '../../accelerated/generation/graph.js'
import type { Feed } from '../../accelerated/engines/feeds.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { openModelFile } from '../../accelerated/engines/onnxRuntimeNode.js'
import { openTextDecoder } from './modelSessions.js'
import { availablePositions } from '../../accelerated/training/runLength.js'
import { promptTokens } from '../tasks/texts/prompts.js'
import type { Text } from './openModel.js'

/** Next-token logits of each text, concatenated: [texts · vocabulary]. @param tokenizing the model whose tokenizer reads the texts */
export const nextTokenLogits = async (trained: TrainedModel, texts: readonly Text[], tokenizing = trained): Promise<readonly number[]> => {
  const prompts = await tokenizePrompts(tokenizing, texts)
  const decoder = await openTextDecoder(trained, { precision: 'float32', threads: 0 }, findDevice('cpu'))
  try {
    return (await decoder.begin(prompts)).logits().flatMap((row) => Array.from(row))
  } finally {
    await decoder.release()
  }
}

/** Tokens of each text: an export returns [tokens, vocabulary] logits, which are large. */
const longestPrompt = 64

const tokenizePrompts = async (
  { base: { folder, model, storage }, adapter: { method, settings } }: TrainedModel,
  texts: readonly Text[],
): Promise<readonly (readonly number[])[]> => {
  const tokenizePrompt = await promptTokens(folder, await loadTokenizer(folder, model, storage))
  return texts.map(({ text }) =>
    tokenizePrompt({ text }).slice(0, Math.min(longestPrompt, availablePositions(method, settings, model).left)),
  )
}

/** The same from an ONNX file that cachedInference wrote, with an empty cache and texts padded on the left. */
export const onnxNextTokenLogits = async (file: string, trained: TrainedModel, texts: readonly Text[]): Promise<readonly number[]> => {
  const prompts = await tokenizePrompts(trained, texts)
  const { vocabularySize, spec } = trained.adapter.model
  const sequence = Math.max(...prompts.map(({ length }) => length))
  const padded = (value: (ids: readonly number[], position: number) => number): Feed => ({
    shape: [prompts.length, sequence],
    data: BigInt64Array.from(
      prompts.flatMap((ids) => Array.from({ length: sequence }, (_, i) => BigInt(value(ids, i - sequence + ids.length)))),
    ),
  })
  const session = await openModelFile(file, { threads: 0 })
  try {
    const { logits } = await session.run({
      input_ids: padded((ids, position) => ids[position] ?? 0),
      attention_mask: padded((_, position) => (position < 0 ? 0 : 1)),
      position_ids: padded((_, position) => Math.max(0, position)),
      ...Object.fromEntries(
        spec.layers.flatMap(({ heads, headSize }, n) =>
          parts.map((part) => [cacheNames(n, part).past, { data: new Float32Array(0), shape: [prompts.length, heads, 0, headSize] }]),
        ),
      ),
    })
    return prompts.flatMap((_, row) => {
      const last = ((row + 1) * sequence - 1) * vocabularySize
      return Array.from(logits?.subarray(last, last + vocabularySize) ?? [], Number)
    })
  } finally {
    await session.release()
  }
}
