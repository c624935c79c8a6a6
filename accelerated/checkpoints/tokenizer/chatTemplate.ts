/** Chat templates: the Jinja template beside a model's tokenizer, rendered within bounds. */
import { Template } from '@huggingface/jinja'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { inputError, reason } from '../../errors/inputError.js'
import { fileInFolder } from '../../storage/fileInFolder.js'
import { renderWithin } from './boundedTemplate.js'
import { renderBeginnings, type Beginnings } from './templateBeginnings.js'
import { hasBigint, withMarks, withoutMarks } from './templateIntegers.js'
import { tokenizerConfigLimit } from './tokenizerFile.js'

export type Message = {
  readonly role: string
  readonly content: string
  /** calls of functions by the assistant, as templates read them */
  readonly tool_calls?: ReadonlyArray<unknown>
}

/**
 * → the text of a conversation with its special tokens; `addGenerationPrompt` ends it with the beginning of an answer.
 * @param tools functions that the assistant may call @throws InputError
 */
export type ChatTemplate = ((messages: ReadonlyArray<Message>, addGenerationPrompt: boolean, tools?: ReadonlyArray<unknown>) => string) & {
  /**
   * What the template makes of the first `lengths` (ascending) messages, in time linear in the conversation.
   * null: it needs a rendering for each, or one of them fails.
   */
  readonly beginnings?: (
    messages: ReadonlyArray<Message>,
    lengths: ReadonlyArray<number>,
    addGenerationPrompt: boolean,
    tools?: ReadonlyArray<unknown>,
  ) => Beginnings | null
}

/** The characters of a template, and those of a rendered conversation beyond the messages' own. */
const [longestTemplate, longestFrame] = [100_000, 1_000_000]

/** Blanks in a row: Jinja's lexer takes time with their square. */
const longestBlanks = 1_000

/** The numbers of a template's range. Templates come from untrusted files. */
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

/** The template of chat_template.jinja, else of tokenizer_config.json; null if the folder has none. @throws InputError */
export const loadChatTemplate = async (folder: string, storage: Storage = nodeFiles): Promise<ChatTemplate | null> => {
  const { text, special, where } = await readChatTemplate(folder, storage)
  return text === null ? null : chatTemplate(text, special, where)
}

/** The same as text, with the special tokens of tokenizer_config.json by name, such as `bos_token`. `where`: its file in messages. */
export const readChatTemplate = async (
  folder: string,
  storage: Storage = nodeFiles,
): Promise<{ readonly text: string | null; readonly special: Readonly<Record<string, string>>; readonly where: string }> => {
  const configFile = await fileInFolder(folder, 'tokenizer_config.json', storage)
  const config =
    configFile === undefined
      ? {}
      : validate(
          settings,
          parseJson(await readText(configFile, tokenizerConfigLimit, storage), configFile),
          configFile,
          'settings of a tokenizer',
        )
  const file = await fileInFolder(folder, 'chat_template.jinja', storage)
  const { chat_template: stored, ...tokens } = config as z.infer<typeof settings>
  const named = Array.isArray(stored) ? stored.find(({ name }) => name === 'default')?.template : stored
  const text = file === undefined ? named : await readText(file, longestTemplate, storage)
  const where = file ?? joinPath(folder, 'tokenizer_config.json')
  const special = Object.fromEntries(Object.entries(tokens).flatMap(([name, value]) => (value == null ? [] : [[name, contentOf(value)]])))
  return { text: text ?? null, special, where }
}

const contentOf = (value: string | { readonly content: string }): string => (typeof value === 'string' ? value : value.content)

/** What works without a chat template. */
const otherTemplate = 'or --prompt-template paper, for instructions'

/** @param special special tokens by name, such as `bos_token` @param where the template's file in messages @throws InputError */
export const chatTemplate = (text: string, special: Readonly<Record<string, string>>, where: string): ChatTemplate => {
  if (new RegExp(`\\s{${longestBlanks + 1}}`).test(text))
    throw inputError(where, `a chat template with at most ${longestBlanks} blanks in a row (${otherTemplate})`, 'one with more')
  const { parsed } = attempt(where, `a chat template in Jinja (${otherTemplate})`, () => new Template(text))
  const given = (exact: ReadonlyArray<Message>, addGenerationPrompt: boolean, exactTools: ReadonlyArray<unknown>) => {
    const isMarked = hasBigint(exact) || hasBigint(exactTools)
    const [messages, tools] = isMarked ? withMarks([exact, exactTools] as const) : [exact, exactTools]
    return {
      variables: {
        ...{ ...globals, ...special, messages, add_generation_prompt: addGenerationPrompt },
        ...(tools.length === 0 ? {} : { tools }),
      },
      bounds: {
        messages: messages.length,
        characters:
          longestFrame +
          4 * messages.reduce((sum, { content, tool_calls: calls }) => sum + content.length + jsonLength(calls), jsonLength(tools)),
      },
      finished: isMarked ? withoutMarks : (text: string): string => text,
    }
  }
  const render: ChatTemplate = (messages, addGenerationPrompt, tools = []) => {
    const { variables, bounds, finished } = given(messages, addGenerationPrompt, tools)
    return attempt(where, `a chat template that takes these messages (${otherTemplate})`, () =>
      finished(renderWithin(parsed, variables, bounds)),
    )
  }
  const beginnings: ChatTemplate['beginnings'] = (messages, lengths, addGenerationPrompt, tools = []) => {
    const { variables, bounds, finished } = given(messages, addGenerationPrompt, tools)
    try {
      const { common, of } = renderBeginnings(parsed, variables, lengths, bounds)
      const inOnePass = [...of].map(([length, { shared, rest }]) => {
        return [length, { shared: finished(common.slice(0, shared)).length, rest: finished(rest) }] as const
      })
      const alone = lengths.filter((length) => !of.has(length))
      const rendered = alone.map(
        (length) => [length, { shared: 0, rest: render(messages.slice(0, length), addGenerationPrompt, tools) }] as const,
      )
      return { common: finished(common), of: new Map([...inOnePass, ...rendered]) }
    } catch {
      return null // what fails, fails again where each beginning is rendered alone, with its message
    }
  }
  return Object.assign(render, { beginnings })
}

const jsonLength = (values: ReadonlyArray<unknown> = []): number => (values.length === 0 ? 0 : JSON.stringify(values).length)

/** @throws InputError in place of any error of `action` */
const attempt = <T>(where: string, expected: string, action: () => T): T => {
  try {
    return action()
  } catch (thrown) {
    throw inputError(where, expected, `one that fails (${reason(thrown)})`)
  }
}

/** The globals that templates have elsewhere, without the current time: a conversation is the same text every day. */
const globals = {
  ...{ true: true, false: false, none: null, True: true, False: false, None: null },
  range: (start: number, stop?: number, step?: number) => boundedRange(start, stop, step),
  raise_exception: (message: string) => {
    throw new Error(message)
  },
}

/** Jinja's range, within a bound. */
const boundedRange = (start: number, stop?: number, step = 1): ReadonlyArray<number> => {
  const [from, to] = stop === undefined ? [0, start] : [start, stop]
  const count = Math.max(0, Math.ceil((to - from) / step))
  if (!(count <= longestRange)) throw new Error(`range of ${count} numbers, more than ${longestRange}`)
  return Array.from({ length: count }, (_, i) => from + i * step)
}
