/** Tokenizes pairs of answers. A pair that is too long is left out: a cut prompt is another one. */
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { preferenceExample, type PreferenceExample } from './objective.js'
import type { Example } from '../../data/dataset.js'
import type { PromptTemplate } from '../../data/promptTemplates.js'
import { openAnswerTokens } from './answerTokens.js'
import type { ExampleTokenizer } from '../exampleTokenizer.js'

/** @throws InputError if the model has no chat template and `promptTemplate` is `chat` */
export const openPreferenceTokens = async (
  base: ModelFolder,
  promptTemplate: PromptTemplate,
  maxLength: number,
): Promise<ExampleTokenizer<PreferenceExample>> => {
  const tokensOf = await openAnswerTokens(base, promptTemplate)
  let [pairs, tooLong, shortest] = [0, 0, Infinity]
  const all = (examples: Iterable<Example>) => {
    const list: PreferenceExample[] = []
    for (const { text, textPair = '', row } of examples) {
      pairs++
      const [chosen, rejected] = [tokensOf(text, row), tokensOf(textPair, row)]
      const length = Math.max(chosen.inputIds.length, rejected.inputIds.length)
      shortest = Math.min(shortest, length)
      if (length <= maxLength) list.push(preferenceExample(row, chosen, rejected))
      else tooLong++
    }
    if (list.length === 0)
      throw inputError('--max-length', `at least ${shortest}, the tokens of the shortest prompt with both answers`, String(maxLength))
    return { length: list.length, at: (index: number) => list[index] }
  }
  return {
    training: all,
    evaluation: all,
    warnings: () => (tooLong === 0 ? [] : [`${tooLong} of ${pairs} pairs are longer than --max-length ${maxLength} and are left out`]),
  }
}
