/** A model's own form of a conversation: the Jinja template beside its tokenizer, rendered within bounds. */
import { join } from 'node:path'
import { Environment, Interpreter, Template } from '@huggingface/jinja'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { inputError, reason } from '../../errors/inputError.js'
import { fileInFolder } from '../../storage/fileInFolder.js'
import { tokenizerConfigLimit } from './tokenizerFile.js'

export type Message = { readonly role: string; readonly content: string }

/** `ask`: with the words that begin an answer at the end. → the text, special tokens written out. Throws Mistake. */
export type ChatTemplate = (messages: ReadonlyArray<Message>, ask: boolean) => string

/** Characters of a template, and of what it makes of a conversation beyond the messages' own. */
const [longestTemplate, longestFrame] = [100_000, 1_000_000]

/** Numbers that a template may count: it is a file of somebody else's. */
const longestRange = 1_000

const token = z.union([z.string().max(1_000), z.object({ content: z.string().max(1_000) })]).nullish()
const settings = z.object({
  chat_template: z
    .union([z.string().max(longestTemplate), z.array(z.object({ name: z.string().max(100), template: z.string().max(longestTemplate) }))])
    .nullish(),
  bos_token: token,
  eos_token: token,
  unk_token: token,
  pad_token: token,
})

/** Of chat_template.jinja, else of tokenizer_config.json; null where the folder has none. Throws Mistake. */
export const loadChatTemplate = async (folder: string): Promise<ChatTemplate | null> => {
  const configFile = await fileInFolder(folder, 'tokenizer_config.json')
  const config =
    configFile === undefined
      ? {}
      : validate(settings, parseJson(await readText(configFile, tokenizerConfigLimit), configFile), configFile, 'settings of a tokenizer')
  const file = await fileInFolder(folder, 'chat_template.jinja')
  const { chat_template: stored, ...tokens } = config as z.infer<typeof settings>
  const named = Array.isArray(stored) ? stored.find(({ name }) => name === 'default')?.template : stored
  const text = file === undefined ? named : await readText(file, longestTemplate)
  if (text == null) return null
  const where = file ?? join(folder, 'tokenizer_config.json')
  const special = Object.fromEntries(Object.entries(tokens).flatMap(([name, value]) => (value == null ? [] : [[name, contentOf(value)]])))
  return chatTemplate(text, special, where)
}

const contentOf = (value: string | { readonly content: string }): string => (typeof value === 'string' ? value : value.content)

/** @param special tokens by their names, such as `bos_token` @param where the template's file in messages. Throws Mistake. */
export const chatTemplate = (text: string, special: Readonly<Record<string, string>>, where: string): ChatTemplate => {
  const { parsed } = understood(where, 'a chat template in Jinja', () => new Template(text))
  return (messages, ask) => {
    const rendered = understood(where, 'a chat template that takes these messages', () => {
      const environment = new Environment()
      const known = { ...globals, ...special, messages, add_generation_prompt: ask }
      for (const [name, value] of Object.entries(known)) environment.set(name, value)
      return String(new Interpreter(environment).run(parsed).value)
    })
    const longest = longestFrame + 4 * messages.reduce((sum, { content }) => sum + content.length, 0)
    if (rendered.length > longest)
      throw inputError(where, `a chat template that makes at most ${longest} characters of these messages`, `${rendered.length}`)
    return rendered
  }
}

const understood = <T>(where: string, expected: string, work: () => T): T => {
  try {
    return work()
  } catch (thrown) {
    throw inputError(where, expected, `one that fails (${reason(thrown)})`)
  }
}

/** What templates find there anywhere, but for a clock: a conversation is the same text every day. */
const globals = {
  ...{ true: true, false: false, none: null, True: true, False: false, None: null },
  range: (start: number, stop?: number, step?: number) => boundedRange(start, stop, step),
  raise_exception: (message: string) => {
    throw new Error(message)
  },
}

/** Jinja's range, as far as a template has use for it. */
const boundedRange = (start: number, stop?: number, step = 1): ReadonlyArray<number> => {
  const [from, to] = stop === undefined ? [0, start] : [start, stop]
  const count = Math.max(0, Math.ceil((to - from) / step))
  if (!(count <= longestRange)) throw new Error(`range of ${count} numbers, more than ${longestRange}`)
  return Array.from({ length: count }, (_, i) => from + i * step)
}
