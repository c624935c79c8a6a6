/** Tokenizes an answer with its prompt: the loss covers the answer alone. */
import { loadChatTemplate } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { eosTokenIds } from '../../../accelerated/checkpoints/tokenizer/eosToken.js'
import { loadTokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import type { LabeledText } from '../../../accelerated/objectives/labeledTokens.js'
import { preferenceText, type PreferenceText } from './examples.js'
import type { PromptTemplate } from '../../data/promptTemplates.js'
import { conversationSegments } from '../texts/conversationTokens.js'
import { segmentTokens, withEnd, type Segment } from '../texts/learnedTokens.js'
import { asExample } from '../texts/tokens.js'

/** @returns the tokens of a stored text @throws InputError if the model has no chat template and `promptTemplate` is `chat` */
export const openAnswerTokens = async (
  { folder, model, storage }: ModelFolder,
  promptTemplate: PromptTemplate,
): Promise<(json: string, row: number) => LabeledText> => {
  const [tokenizer, ends] = [await loadTokenizer(folder, model, storage), await eosTokenIds(folder, model.vocabularySize)]
  const chat = promptTemplate === 'chat' ? await loadChatTemplate(folder) : null
  if (promptTemplate === 'chat' && chat === null)
    throw inputError(folder, 'a chat template (in tokenizer_config.json or chat_template.jinja), for --prompt-template chat', 'none')
  const segmentsOf = (text: PreferenceText): ReadonlyArray<Segment> => {
    if ('prompt' in text)
      return [
        { text: text.prompt, learned: false },
        { text: text.answer, learned: true },
      ]
    if (chat === null) throw new Error('answerTokens: expected a chat template for messages')
    const segments = conversationSegments(text.messages, chat)
    const answer = segments.findLastIndex(({ learned }) => learned)
    return segments.map((segment, i) => (i === answer ? segment : { ...segment, learned: false }))
  }
  return (json, row) =>
    asExample(withEnd(segmentTokens(tokenizer, segmentsOf(preferenceText(json)), chat === null ? tokenizer.start : []), ends), false, row)
}
