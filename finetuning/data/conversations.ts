/** Conversations: an instruction and its response, or messages in turn, as one example each; and the file they are read from. */
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import type { Message } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'
import { parseJson } from '../../accelerated/storage/boundedJson.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { Dataset, Example, SkippedRow } from './dataset.js'
import { hasObjects, readerOf } from './formats.js'
import { promptOf, type PromptTemplate } from './promptTemplates.js'
import type { Cell } from './rows.js'
import { exampleStore } from './compactExamples.js'
import type { WantedColumn } from './table.js'
import { checkSize } from './textFile.js'
import { atRow } from './errorText.js'

/** Messages of a conversation, and characters of one. */
const [mostMessages, longestMessage] = [10_000, 10_000_000]

const messages = z
  .array(z.object({ role: z.string().min(1).max(100), content: z.string().max(longestMessage) }))
  .min(1)
  .max(mostMessages)

const columns: ReadonlyArray<WantedColumn> = [
  ...['instruction', 'input', 'output'].map((name): WantedColumn => ({ name, optional: true })),
  { name: 'messages', optional: true, json: true },
]

/** Under `chat` an example's text is its messages, as JSON: only the model's own template can say more. */
export const messagesIn = (text: string): ReadonlyArray<Message> => JSON.parse(text) as ReadonlyArray<Message>

/**
 * Rows of `instruction`, perhaps `input`, and `output`, or of `messages`. An example has the prompt as its text and the response as its second;
 * under `chat` all messages as its text. `skipEmpty`: leave rows out whose response is empty. @throws Mistake for the first thing wrong
 */
export const readConversations = async (file: string, template: PromptTemplate, skipEmpty: boolean): Promise<Dataset> => {
  const read = readerOf(file, {})
  if (!hasObjects(file)) throw inputError(file, 'a .json, .jsonl or .parquet file of instructions or messages', 'another')
  checkSize(file)
  const store = exampleStore()
  const examples: Example[] = []
  const skipped: SkippedRow[] = []
  await read(file, columns, {}, (row, cells) => {
    const turns = turnsOf(cells, atRow(file, row))
    const responses = turns.filter(({ role }) => role === 'assistant')
    if (responses.some(({ content }) => content.trim() === '')) {
      if (!skipEmpty) throw inputError(atRow(file, row), 'a response (or --skip-missing)', 'an empty one')
      skipped.push({ row, found: 'no response' })
    } else examples.push(store({ ...textsOf(turns, template, atRow(file, row)), label: 0, row }))
  })
  if (examples.length === 0)
    throw inputError(file, 'at least one row with a response', skipped.length === 0 ? 'none' : `none in ${skipped.length} rows`)
  return { source: file, examples, labelNames: null, skipped }
}

/** A row as messages in turn. @throws Mistake */
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
  const asked = [instruction ?? '', ...(input == null || input === '' ? [] : [input])].join('\n\n')
  if (asked.trim() === '') throw inputError(where, 'an instruction', 'an empty one')
  return [instructionMessage(instruction ?? '', input ?? ''), { role: 'assistant', content: output ?? '' }]
}

/** A user's message that remembers which part is the input, which only Stanford's form and the paper's tell apart. */
type Asked = Message & { readonly parts?: { readonly instruction: string; readonly input: string } }

const instructionMessage = (instruction: string, input: string): Asked => ({
  role: 'user',
  content: input === '' ? instruction : `${instruction}\n\n${input}`,
  parts: { instruction, input },
})

const textsOf = (turns: ReadonlyArray<Asked>, template: PromptTemplate, where: string): Pick<Example, 'text' | 'textPair'> => {
  if (template === 'chat') return { text: JSON.stringify(turns.map(({ role, content }) => ({ role, content }))) }
  const [asked, response, ...more] = turns
  if (asked?.role !== 'user' || response?.role !== 'assistant' || more.length > 0)
    throw inputError(
      where,
      'one message of role "user" and one of "assistant" (or --prompt-template chat)',
      `the roles ${turns.map(({ role }) => quoted(role)).join(', ')}`,
    )
  const { instruction, input } = asked.parts ?? { instruction: asked.content, input: '' }
  return { text: promptOf[template]({ instruction, input }), textPair: response.content }
}
