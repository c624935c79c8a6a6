/** Prompts for generation: a plain text, an instruction in its prompt template, or a conversation in the model's chat template. */
import { loadChatTemplate, type ChatTemplate, type Message } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import type { Tokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { promptOf, type Instruction, type PromptTemplate } from '../data/promptTemplates.js'

export type Prompt =
  | { readonly text: string }
  /** Without a template, the model's chat template frames the instruction; `paper` does if the model has none. */
  | ({ readonly template?: PromptTemplate } & Instruction)
  /** The model answers the last message. */
  | { readonly messages: ReadonlyArray<Message> }

/**
 * Returns a function from a prompt to token ids, framed as in training: a chat template writes its own start token.
 * @throws InputError if the prompt needs the model's chat template, which is absent or fails
 */
export const promptTokens = async (folder: string, { ids, start }: Tokenizer): Promise<(prompt: Prompt) => ReadonlyArray<number>> => {
  const template = await loadChatTemplate(folder).catch(failing)
  const chat: ChatTemplate = (...conversation) => {
    if (template !== null) return template(...conversation)
    throw inputError(folder, 'a chat template (in tokenizer_config.json or chat_template.jinja), for a conversation', 'none')
  }
  const own = template === null ? 'paper' : 'chat'
  return (prompt) => {
    if ('text' in prompt) return [...start, ...ids(prompt.text)]
    if ('messages' in prompt) return ids(chat(prompt.messages, true))
    const { template: name = own } = prompt
    if (name !== 'chat') return [...start, ...ids(promptOf[name](prompt))]
    const content = prompt.input === '' ? prompt.instruction : `${prompt.instruction}\n\n${prompt.input}`
    return ids(chat([{ role: 'user', content }], true))
  }
}

/** A chat template that cannot be read fails at the first prompt that needs it. */
const failing = (error: unknown): ChatTemplate => {
  if (!(error instanceof InputError)) throw error
  return () => {
    throw error
  }
}
