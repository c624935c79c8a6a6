/** Reads conversations: an instruction with its response, or a list of messages, as one example each. */
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import type { Message } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'
import { parseJson } from '../../accelerated/storage/boundedJson.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { Dataset, Example, SkippedRow } from './dataset.js'
import { encodingNamed } from './encoding.js'
import { hasObjects, readerOf } from './formats.js'
import { promptOf, type PromptTemplate } from './promptTemplates.js'
import type { Cell } from './rows.js'
import { exampleStore } from './compactExamples.js'
import type { RequestedColumn } from './table.js'
import { checkSize } from './textFile.js'
import { atRow } from './errorText.js'

/** Messages per conversation, and characters per message. */
const [mostMessages, longestMessage] = [10_000, 10_000_000]

const messages = z
  .array(z.object({ role: z.string().min(1).max(100), content: z.string().max(longestMessage) }))
  .min(1)
  .max(mostMessages)

const columns: ReadonlyArray<RequestedColumn> = [
  ...['instruction', 'input', 'output'].map((name): RequestedColumn => ({ name, optional: true })),
  { name: 'messages', optional: true, json: true },
]

/** The messages of a `chat` example, whose text is their JSON: only the model's own template can render them. */
export const messagesIn = (text: string): ReadonlyArray<Message> => JSON.parse(text) as ReadonlyArray<Message>

/**
 * Rows of `instruction`, optional `input` and `output`, or of `messages`. An example's text is the prompt, its second text the response; with
 * `chat` its text is all messages. With `skipMissing`, skips rows with an empty response @throws InputError for the first thing wrong in the file
 */
export const readConversations = async (
  file: string,
  template: PromptTemplate,
  { skipMissing: skipEmpty = false, encoding }: { readonly skipMissing?: boolean; readonly encoding?: string } = {},
): Promise<Dataset> => {
  const format = encoding === undefined ? {} : { encoding: encodingNamed(encoding) }
  const read = readerOf(file, format)
  if (!hasObjects(file)) throw inputError(file, 'a .json, .jsonl or .parquet file of instructions or messages', 'another')
  checkSize(file)
  const store = exampleStore()
  const examples: Example[] = []
  const skipped: SkippedRow[] = []
  await read(file, columns, format, (row, cells) => {
    const turns = turnsOf(cells, atRow(file, row))
    const responses = turns.filter(({ role }) => role === 'assistant')
    if (responses.some(({ content }) => content.trim() === '')) {
      if (!skipEmpty) throw inputError(atRow(file, row), 'a response (or --skip-missing)', 'an empty one')
      skipped.push({ row, reason: 'no response' })
    } else examples.push(store({ ...textsOf(turns, template, atRow(file, row)), label: 0, row }))
  })
  if (examples.length === 0)
    throw inputError(file, 'at least one row with a response', skipped.length === 0 ? 'none' : `none in ${skipped.length} rows`)
  return { source: file, examples, labelNames: null, skipped }
}

/** A row as messages. @throws InputError */
const turnsOf = ([instruction, input, output, conversation]: ReadonlyArray<Cell>, where: string): ReadonlyArray<Message> => {
  if (conversation != null) {
    const turns = validate(messages, parseJson(conversation, where), where, 'a list of messages, each with its role and its content')
    if (!turns.some(({ role }) => role === 'assistant'))
      throw inputError(
        where,
        'a message of role "assistant", which is learned',
        `the roles ${turns.map(({ role }) => quoted(role)).join(', ')}`,
      )
    return turns
  }
  const missing = instruction == null ? 'instruction' : output == null ? 'output' : null
  if (missing !== null)
    throw inputError(where, 'a row with "instruction" and "output", or with "messages"', `one without ${quoted(missing)}`)
  const prompt = [instruction ?? '', ...(input == null || input === '' ? [] : [input])].join('\n\n')
  if (prompt.trim() === '') throw inputError(where, 'an instruction', 'an empty one')
  return [instructionMessage(instruction ?? '', input ?? ''), { role: 'assistant', content: output ?? '' }]
}

/** A user's message with its parts: the templates `paper` and `alpaca` show instruction and input separately. */
type UserMessage = Message & { readonly parts?: { readonly instruction: string; readonly input: string } }

const instructionMessage = (instruction: string, input: string): UserMessage => ({
  role: 'user',
  content: input === '' ? instruction : `${instruction}\n\n${input}`,
  parts: { instruction, input },
})

const textsOf = (turns: ReadonlyArray<UserMessage>, template: PromptTemplate, where: string): Pick<Example, 'text' | 'textPair'> => {
  if (template === 'chat') return { text: JSON.stringify(turns.map(({ role, content }) => ({ role, content }))) }
  const [user, response, ...more] = turns
  if (user?.role !== 'user' || response?.role !== 'assistant' || more.length > 0)
    throw inputError(
      where,
      'one message of role "user" and one of "assistant" (or --prompt-template chat)',
      `the roles ${turns.map(({ role }) => quoted(role)).join(', ')}`,
    )
  const { instruction, input } = user.parts ?? { instruction: user.content, input: '' }
  return { text: promptOf[template]({ instruction, input }), textPair: response.content }
}
