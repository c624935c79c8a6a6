/** Prompts for generation: a plain text, an instruction in its prompt template, or a conversation in the model's chat template. */
import { loadChatTemplate, type ChatTemplate, type Message } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Tokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { promptOf, type Instruction, type PromptTemplate } from '../data/promptTemplates.js'

export type Prompt =
  | { readonly text: string }
  | ({ readonly template: PromptTemplate } & Instruction)
  /** The model answers the last message. */
  | { readonly messages: ReadonlyArray<Message> }

/**
 * Returns a function from a prompt to token ids, framed as in training: a chat template writes its own start token.
 * @throws InputError if the prompt is a conversation and the model has no chat template
 */
export const promptTokens = async (folder: string, { ids, start }: Tokenizer): Promise<(prompt: Prompt) => ReadonlyArray<number>> => {
  const template = await loadChatTemplate(folder)
  const chat: ChatTemplate = (...conversation) => {
    if (template !== null) return template(...conversation)
    throw inputError(folder, 'a chat template (in tokenizer_config.json or chat_template.jinja), for a conversation', 'none')
  }
  return (prompt) => {
    if ('text' in prompt) return [...start, ...ids(prompt.text)]
    if ('messages' in prompt) return ids(chat(prompt.messages, true))
    if (prompt.template !== 'chat') return [...start, ...ids(promptOf[prompt.template](prompt))]
    const content = prompt.input === '' ? prompt.instruction : `${prompt.instruction}\n\n${prompt.input}`
    return ids(chat([{ role: 'user', content }], true))
  }
}
