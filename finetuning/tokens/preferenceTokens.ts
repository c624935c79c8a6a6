/** Tokenizes preferences: the loss covers the two answers, not their prompt. A pair that is too long is left out: a cut prompt is another one. */
import { loadChatTemplate } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'
import { eosTokenIds } from '../../accelerated/checkpoints/tokenizer/eosToken.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { preferenceExample, type PreferenceExample } from '../../accelerated/objectives/preference.js'
import type { Example } from '../data/dataset.js'
import { preferenceText, type PreferenceText } from '../data/preferences.js'
import type { PromptTemplate } from '../data/promptTemplates.js'
import { conversationSegments } from './conversationTokens.js'
import type { ExampleTokenizer } from './exampleTokenizer.js'
import { segmentTokens, withEnd, type Segment } from './learnedTokens.js'
import { asExample } from './textTokens.js'

/** @throws InputError if the model has no chat template and `promptTemplate` is `chat` */
export const openPreferenceTokens = async (
  { folder, model }: ModelFolder,
  promptTemplate: PromptTemplate,
  maxLength: number,
): Promise<ExampleTokenizer<PreferenceExample>> => {
  const [tokenizer, ends] = [await loadTokenizer(folder, model), await eosTokenIds(folder, model.vocabularySize)]
  const chat = promptTemplate === 'chat' ? await loadChatTemplate(folder) : null
  if (promptTemplate === 'chat' && chat === null)
    throw inputError(folder, 'a chat template (in tokenizer_config.json or chat_template.jinja), for --prompt-template chat', 'none')
  let [pairs, tooLong] = [0, 0]
  const segmentsOf = (text: PreferenceText): ReadonlyArray<Segment> => {
    if ('prompt' in text)
      return [
        { text: text.prompt, learned: false },
        { text: text.answer, learned: true },
      ]
    if (chat === null) throw new Error('preferenceTokens: expected a chat template for messages')
    const segments = conversationSegments(text.messages, chat)
    const answer = segments.findLastIndex(({ learned }) => learned)
    return segments.map((segment, i) => (i === answer ? segment : { ...segment, learned: false }))
  }
  const side = (json: string, row: number) =>
    asExample(withEnd(segmentTokens(tokenizer, segmentsOf(preferenceText(json)), chat === null ? tokenizer.start : []), ends), false, row)
  const all = (examples: Iterable<Example>) => {
    const list: PreferenceExample[] = []
    for (const { text, textPair = '', row } of examples) {
      pairs++
      const [chosen, rejected] = [side(text, row), side(textPair, row)]
      if (Math.max(chosen.inputIds.length, rejected.inputIds.length) <= maxLength) list.push(preferenceExample(row, chosen, rejected))
      else tooLong++
    }
    if (list.length === 0) throw inputError('--max-length', 'a pair of answers that fits', `${maxLength}, and ${tooLong} longer pairs`)
    return { length: list.length, at: (index: number) => list[index] }
  }
  return {
    training: all,
    evaluation: all,
    warnings: () => (tooLong === 0 ? [] : [`${tooLong} of ${pairs} pairs are longer than --max-length ${maxLength} and are left out`]),
  }
}
