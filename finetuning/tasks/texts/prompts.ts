/** Prompts for generation: a plain text, an instruction in its prompt template, or a conversation in the model's chat template. */
import { z } from 'zod'
import { loadChatTemplate, type ChatTemplate, type Message } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { alternatives, didYouMean } from '../../../accelerated/errors/nearest.js'
import { InputError, inputError, formatValue } from '../../../accelerated/errors/inputError.js'
import { refuseOtherKeys, validate } from '../../../accelerated/errors/validate.js'
import type { Text } from '../../../accelerated/errors/words.js'
import type { Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { promptFormats, promptTemplates, type Instruction, type PromptTemplate } from '../../data/promptTemplates.js'

export type Prompt =
  /** The model continues the text. */
  | { readonly text: string }
  /** As a plain text and as `--prompt`: an instruction for a run that was trained with a template, else a text to continue. */
  | { readonly prompt: string }
  /** Without a template, the model's chat template frames the instruction; `paper` does if the model has none. */
  | { readonly template?: PromptTemplate; readonly instruction: string; readonly input?: string }
  /** The model answers the last message. */
  | { readonly messages: readonly Message[]; readonly tools?: readonly object[] }

/** A prompt that is ready to become tokens. */
export type FramedPrompt =
  | { readonly text: string }
  | ({ readonly template?: PromptTemplate } & Instruction)
  | { readonly messages: readonly Message[]; readonly tools?: readonly object[] }

/**
 * @param template of a run: frames instructions that name none, and plain prompts too
 * @throws InputError with one line for a prompt of another form, which a caller without types may give
 */
export const framed = (given: string | Prompt, template: PromptTemplate | null, where: Text): FramedPrompt => {
  const prompt = typeof given === 'string' ? { prompt: given } : checked(given, where)
  if ('text' in prompt || 'messages' in prompt) return prompt
  if ('prompt' in prompt && template === null) return { text: prompt.prompt }
  const [instruction, input] = 'prompt' in prompt ? [prompt.prompt, ''] : [prompt.instruction, prompt.input ?? '']
  const own = ('template' in prompt ? prompt.template : undefined) ?? template
  return { ...(own === null ? {} : { template: own }), instruction, input }
}

const text = z.string()
/** The forms of a prompt by the key that each has. */
const forms = {
  text: z.object({ text }),
  prompt: z.object({ prompt: text }),
  instruction: z.object({ instruction: text, input: text.nullish(), template: z.enum(promptTemplates).optional() }),
  messages: z.object({
    messages: z.array(z.looseObject({ role: text.min(1), content: text })).min(1),
    tools: z.array(z.looseObject({})).optional(),
  }),
} as const
const keys = Object.keys(forms) as readonly (keyof typeof forms)[]
const expected = `a text, or an object with one of ${alternatives(keys.map((key) => JSON.stringify(key)))}`

const checked = (given: unknown, where: Text): Prompt => {
  const object = typeof given === 'object' && given !== null ? given : {}
  const key = keys.find((name) => Object.hasOwn(object, name))
  if (key === undefined) {
    const [remedy] = Object.keys(object).flatMap((name) => didYouMean(name, keys) ?? [])
    throw inputError(where, remedy === undefined ? expected : `${expected} (${remedy})`, formatValue(given))
  }
  const names = Object.keys(forms[key].shape)
  refuseOtherKeys(object, names, where, `only ${alternatives(names.map((name) => JSON.stringify(name)))} in a prompt`)
  return validate<unknown>(forms[key], given, where, 'a prompt') as Prompt
}

/** The token ids of a prompt, or about the first `most` of them: the rest of a text that is too long takes no time. */
export type PromptTokens = (prompt: FramedPrompt, most?: number) => readonly number[]

/**
 * Returns a function from a prompt to token ids, framed as in training: a chat template writes its own start token.
 * @param date that a chat template writes; none: today
 * @throws InputError if the prompt needs the model's chat template, which is absent or fails
 */
export const promptTokens = async (folder: string, { ids, start }: Tokenizer, date?: string): Promise<PromptTokens> => {
  const template = await loadChatTemplate(folder, { date }).catch(failing)
  const chat: ChatTemplate = (...conversation) => {
    if (template !== null) return template(...conversation)
    throw inputError(folder, 'a chat template (in tokenizer_config.json or chat_template.jinja), for a conversation', 'none')
  }
  const own = template === null ? 'paper' : 'chat'
  return (prompt, most) => {
    if ('text' in prompt) return [...start, ...ids(prompt.text, most)]
    if ('messages' in prompt) {
      const { messages, tools = [] } = prompt
      const calls =
        tools.length > 0
          ? 'tools'
          : messages.some((one) => one.role === 'tool')
            ? 'role: tool'
            : messages.some((one) => one.tool_calls)
              ? 'tool_calls'
              : null
      if (calls !== null && template?.takesTools === false)
        throw inputError(folder, 'a chat template with tools', `one without: ${calls} is not supported`)
      return ids(chat(messages, true, tools), most)
    }
    const { template: name = own } = prompt
    if (name !== 'chat') return [...start, ...ids(promptFormats[name](prompt), most)]
    return ids(chat([{ role: 'user', content: promptFormats.none(prompt) }], true), most)
  }
}

/** A chat template that cannot be read fails at the first prompt that needs it. */
const failing = (error: unknown): ChatTemplate => {
  if (!(error instanceof InputError)) throw error
  return () => {
    throw error
  }
}
