/** Chat templates: the Jinja template beside a model's tokenizer, rendered within bounds. */
import { Template, tokenize } from '@huggingface/jinja'
import { z } from 'zod'
import { readJson, parseExact } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath, fileInFolder } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { inputError, reason } from '../../errors/inputError.js'
import { option, words, type Text } from '../../errors/words.js'
import { renderWithin } from './boundedTemplate.js'
import { formatDate, localDate } from './templateDate.js'
import { renderBeginnings, type Beginnings } from './templateBeginnings.js'
import { tokenizerConfigLimit } from '../tokenizer/tokenizerFile.js'

export type Message = {
  readonly role: string
  readonly content: string
  /** calls of functions by the assistant, as templates read them */
  readonly tool_calls?: readonly unknown[]
  readonly tool_call_id?: unknown
}

/**
 * → the text of a conversation with its special tokens; `addGenerationPrompt` ends it with the beginning of an answer.
 * @param tools functions that the assistant may call @throws InputError
 */
export type ChatTemplate = ((messages: readonly Message[], addGenerationPrompt: boolean, tools?: readonly unknown[]) => string) & {
  /** whether it writes tools, and what they answer; absent: unknown */
  readonly takesTools?: boolean
  /**
   * What the template makes of the first `lengths` (ascending) messages, in time linear in the conversation.
   * null: it needs a rendering for each, or one of them fails.
   */
  readonly beginnings?: (
    messages: readonly Message[],
    lengths: readonly number[],
    addGenerationPrompt: boolean,
    tools?: readonly unknown[],
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

/**
 * The template of chat_template.jinja, else of tokenizer_config.json; null if the folder has none.
 * @param date what the template takes for today, such as 2026-03-07 @throws InputError
 */
export const loadChatTemplate = async (
  folder: string,
  { storage = nodeFiles, date }: { readonly storage?: Storage; readonly date?: string | undefined } = {},
): Promise<ChatTemplate | null> => {
  const { text, special, where } = await readChatTemplate(folder, storage)
  return text === null ? null : chatTemplate(text, special, where, date)
}

/** Whether a template writes the date: its text differs from day to day. */
export const writesDate = (text: string): boolean => text.includes('strftime_now')

/** The same as text, with the special tokens of tokenizer_config.json by name, such as `bos_token`. `where`: its file in messages. */
export const readChatTemplate = async (
  folder: string,
  storage: Storage = nodeFiles,
): Promise<{ readonly text: string | null; readonly special: Readonly<Record<string, string>>; readonly where: string }> => {
  const config = await readJson(folder, 'tokenizer_config.json', settings, 'settings of a tokenizer', tokenizerConfigLimit, storage)
  const file = await fileInFolder(folder, 'chat_template.jinja', storage)
  const { chat_template: stored, ...tokens } = config ?? {}
  const named = Array.isArray(stored) ? stored.find(({ name }) => name === 'default')?.template : stored
  const text = file === undefined ? named : await readText(file, longestTemplate, storage)
  const where = file ?? joinPath(folder, 'tokenizer_config.json')
  const special = Object.fromEntries(Object.entries(tokens).flatMap(([name, value]) => (value == null ? [] : [[name, toContent(value)]])))
  return { text: text ?? null, special, where }
}

const toContent = (value: string | { readonly content: string }): string => (typeof value === 'string' ? value : value.content)

/** The library reads `1e9` as 1 and ignores the rest, so `messages[1e9]` would be `messages[1]`. `0or` is `0 or`, in Python too. @throws Error */
const parseTemplate = (text: string): Template => {
  const tokens: readonly Token[] = tokenize(text, { lstrip_blocks: true, trim_blocks: true })
  const at = tokens.findIndex(
    ({ type }, i) => type === 'NumericLiteral' && /^(e\d*|x[\da-f_]+|o[0-7_]+|b[01_]+|_\w+)$/i.test(nameAfter(tokens, i)),
  )
  if (at >= 0) throw new Error(`${tokens[at]?.value}${nameAfter(tokens, at)} is no number here`)
  return new Template(text)
}

type Token = { readonly type: string; readonly value: string }

const nameAfter = (tokens: readonly Token[], at: number): string => {
  const next = tokens[at + 1]
  return next?.type === 'Identifier' ? next.value : ''
}

const otherTemplate = words`or ${option('promptTemplate')} paper, for instructions`

/**
 * @param special special tokens by name, such as `bos_token` @param where the template's file in messages
 * @param date what the template takes for today, such as 2026-03-07 @throws InputError
 */
export const chatTemplate = (
  text: string,
  special: Readonly<Record<string, string>>,
  where: string,
  date: string = localDate(),
): ChatTemplate => {
  if (new RegExp(`\\s{${longestBlanks + 1}}`).test(text))
    throw inputError(where, words`a chat template with at most ${longestBlanks} blanks in a row (${otherTemplate})`, 'one with more')
  const { parsed } = attempt(where, words`a chat template in Jinja (${otherTemplate})`, () => parseTemplate(text.replace(/\r\n?/g, '\n')))
  const buildInput = (messages: readonly Message[], addGenerationPrompt: boolean, tools: readonly unknown[]) => ({
    variables: {
      ...{ ...globals, ...special, messages, add_generation_prompt: addGenerationPrompt },
      strftime_now: (format: string) => formatDate(format, date),
      ...{ tools: tools.length === 0 ? null : tools, documents: null },
    },
    bounds: {
      messages: messages.length,
      characters:
        longestFrame +
        4 * messages.reduce((sum, { content, tool_calls: calls }) => sum + content.length + jsonLength(calls), jsonLength(tools)),
    },
  })
  const render: ChatTemplate = (messages, addGenerationPrompt, tools = []) => {
    const rendered = (read: readonly Message[]): string => {
      const { variables, bounds } = buildInput(read, addGenerationPrompt, tools)
      return renderWithin(parsed, variables, bounds)
    }
    return attempt(where, words`a chat template that takes these messages (${otherTemplate})`, () => {
      const read = withArguments(messages)
      try {
        return rendered(read)
      } catch (thrown) {
        if (read === messages) throw thrown
        try {
          return rendered(messages)
        } catch {
          throw thrown
        }
      }
    })
  }
  const beginnings: ChatTemplate['beginnings'] = (messages, lengths, addGenerationPrompt, tools = []) => {
    const { variables, bounds } = buildInput(withArguments(messages), addGenerationPrompt, tools)
    try {
      const { common, of } = renderBeginnings(parsed, variables, lengths, bounds)
      const alone = lengths.filter((length) => !of.has(length))
      const rendered = alone.map(
        (length) => [length, { shared: 0, rest: render(messages.slice(0, length), addGenerationPrompt, tools) }] as const,
      )
      return { common, of: new Map([...of, ...rendered]) }
    } catch {
      return null // what fails, fails again where each beginning is rendered alone, with its message
    }
  }
  return Object.assign(render, { beginnings, takesTools: /\btools\b/.test(text) })
}

type Call = { readonly function?: { readonly arguments?: unknown } }

/**
 * The arguments of calls as objects, where they are JSON texts: most templates write them as JSON themselves, and a text would be quoted twice.
 * Others add the text to their own, and refuse an object. → the same list, if nothing differs
 */
const withArguments = (messages: readonly Message[]): readonly Message[] => {
  const read = messages.map((message) => {
    const calls = message.tool_calls?.map((call) => withObject(call as Call))
    return calls === undefined || calls.every((call, i) => call === message.tool_calls?.[i]) ? message : { ...message, tool_calls: calls }
  })
  return read.every((message, i) => message === messages[i]) ? messages : read
}

const withObject = (call: Call): Call => {
  const { function: called } = call
  if (typeof called?.arguments !== 'string') return call
  try {
    return { ...call, function: { ...called, arguments: parseExact(called.arguments, 'arguments', 'written') } }
  } catch {
    return call // a text of its own
  }
}

/** The characters of values as JSON, about. */
const jsonLength = (values: unknown = []): number => {
  if (typeof values === 'string') return values.length + 2
  if (typeof values !== 'object' || values === null) return String(values).length
  return Object.entries(values).reduce((sum, [name, value]) => sum + name.length + 4 + jsonLength(value), 0)
}

/** @throws InputError in place of any error of `action` */
const attempt = <T>(where: string, expected: Text, action: () => T): T => {
  try {
    return action()
  } catch (thrown) {
    throw inputError(where, expected, `one that fails (${reason(thrown)})`)
  }
}

const globals = {
  ...{ true: true, false: false, none: null, True: true, False: false, None: null },
  range: (start: number, stop?: number, step?: number) => boundedRange(start, stop, step),
  raise_exception: (message: string) => {
    throw new Error(message)
  },
}

const boundedRange = (start: number, stop?: number, step = 1): readonly number[] => {
  const [from, to] = stop === undefined ? [0, start] : [start, stop]
  const count = Math.max(0, Math.ceil((to - from) / step))
  if (!(count <= longestRange)) throw new Error(`range of ${count} numbers, more than ${longestRange}`)
  return Array.from({ length: count }, (_, i) => from + i * step)
}
