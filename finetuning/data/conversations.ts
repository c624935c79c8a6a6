/** Reads conversations: one example a row, in any layout that conversationRows.ts knows. Fields that are not read are counted. */
import type { Message } from '../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { alternatives, nearest } from '../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { type Dataset, type Example, type SkippedRow, atRow } from './dataset.js'
import { makeObjectReader } from './formats.js'
import { promptFormats, type PromptTemplate } from './promptTemplates.js'
import type { Cell } from './rows.js'
import { exampleStore } from './compactExamples.js'
import { exactJson, parseStored } from '../../accelerated/storage/json.js'
import { conversationColumns, parseConversation, roleNames, type Conversation, type UserMessage } from './conversationRows.js'

/** The messages and tools of a `chat` example. Its text is their JSON: only the model's own template can render them. */
export const conversationIn = (text: string): Pick<Conversation, 'turns' | 'tools'> => {
  const value = parseStored(text) as readonly Message[] | { readonly messages: readonly Message[]; readonly tools: readonly unknown[] }
  return 'messages' in value ? { turns: value.messages, tools: value.tools } : { turns: value, tools: [] }
}

/**
 * Rows of `instruction`, optional `input` and `output`, or of `messages`. An example's text is the prompt, its second text the response; with
 * `chat` its text is all messages. With `skipMissing`, skips rows without a response @throws InputError for the first thing wrong in the file
 */
export const readConversations = async (
  file: string,
  template: PromptTemplate,
  { skipMissing = false, encoding }: { readonly skipMissing?: boolean; readonly encoding?: string } = {},
): Promise<Dataset> => {
  const read = makeObjectReader(file, 'instructions or messages', encoding)
  const store = exampleStore()
  const examples: Example[] = []
  const skipped: SkippedRow[] = []
  const [unread, otherRoles] = [rowCounts(), rowCounts()]
  let names: readonly string[] = []
  const takeRow = (row: number, cells: readonly Cell[]): void => {
    const where = atRow(file, row)
    const conversation = parseConversation(cells, where)
    const { turns, read: used } = template === 'chat' ? conversation : withoutChat(conversation)
    unread.add(names.filter((name) => !used.includes(name)))
    unread.add(conversation.unread.map((name) => `messages.${name}`))
    otherRoles.add(new Set(turns.map(({ role }) => role).filter((role) => !commonRoles.includes(role))))
    const responses = turns.filter(({ role }) => role === 'assistant')
    if (responses.length === 0 && !skipMissing)
      throw inputError(
        where,
        words`a message of role "assistant", which is learned (or ${option('skipMissing', true)})`,
        `the roles ${turns.map(({ role }) => quoted(role)).join(', ')}`,
      )
    if (responses.length === 0 || responses.some((response) => response.content.trim() === '' && response.tool_calls === undefined)) {
      if (!skipMissing) throw inputError(where, words`a response (or ${option('skipMissing', true)})`, 'an empty one')
      skipped.push({ row, reason: 'no response' })
    } else examples.push(store({ ...renderTexts({ ...conversation, turns }, template, where), label: 0, row }))
  }
  const keys = (found: readonly string[]): void => {
    names = found
  }
  await read(conversationColumns, takeRow, keys)
  if (examples.length === 0)
    throw inputError(file, 'at least one row with a response', skipped.length === 0 ? 'none' : `none in ${skipped.length} rows`)
  const notes = unreadNotes(file, unread.counts, template)
  const warnings = roleWarnings(file, otherRoles.counts)
  return {
    source: file,
    examples,
    labelNames: null,
    skipped,
    ...(notes.length === 0 ? {} : { notes }),
    ...(warnings.length === 0 ? {} : { warnings }),
  }
}

/** The conversation without the fields that `paper` and `alpaca` cannot show. */
const withoutChat = ({ turns, before, read }: Conversation): Pick<Conversation, 'turns' | 'read'> => ({
  turns: turns.slice(before),
  read: read.filter((name) => !chatOnly.includes(name)),
})

/** Fields that `paper` and `alpaca` cannot show. */
const chatOnly: readonly string[] = ['system', 'history', 'tools']

const renderTexts = ({ turns, tools }: Conversation, template: PromptTemplate, where: string): Pick<Example, 'text' | 'textPair'> => {
  if (template === 'chat') {
    const plain = turns.map(({ parts: _, ...message }: UserMessage) => message)
    return { text: exactJson(tools.length === 0 ? plain : { messages: plain, tools }) }
  }
  const [user, response, ...more] = turns
  if (user?.role !== 'user' || response?.role !== 'assistant' || more.length > 0)
    throw inputError(
      where,
      words`one message of role "user" and one of "assistant" (or ${option('promptTemplate')} chat)`,
      `the roles ${turns.map(({ role }) => quoted(role)).join(', ')}`,
    )
  if (response.tool_calls !== undefined)
    throw inputError(where, words`a response that is a text (or ${option('promptTemplate')} chat)`, 'tool calls')
  const { instruction, input } = user.parts ?? { instruction: user.content, input: '' }
  return { text: promptFormats[template]({ instruction, input }), textPair: response.content }
}

/** Counts rows by name, such as that of a field that is not read: at most this many names. */
const mostNames = 1_000

const rowCounts = () => {
  const counts = new Map<string, number>()
  const add = (names: Iterable<string>): void => {
    for (const name of names) if (counts.has(name) || counts.size < mostNames) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return { counts, add }
}

type RowCount = readonly [name: string, rows: number]

const inRows = ([name, rows]: RowCount): string => `${quoted(name, 40)} in ${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`

const unreadNotes = (file: string, counts: ReadonlyMap<string, number>, template: PromptTemplate): readonly string[] => {
  const listed = (names: readonly RowCount[]): string => names.map(inRows).join(', ')
  const all = [...counts]
  const chat = template === 'chat' ? [] : all.filter(([name]) => chatOnly.includes(name))
  const others = all.filter((one) => !chat.includes(one)).slice(0, 12)
  return [
    ...(chat.length === 0 ? [] : [`${file}: --prompt-template ${template} does not read ${listed(chat)}; --prompt-template chat does`]),
    ...(others.length === 0 ? [] : [`${file}: not read: ${listed(others)}`]),
  ]
}

/** What most chat templates know. One of another role may be right, so it is no error. */
const commonRoles: readonly string[] = ['system', 'developer', 'user', 'assistant', 'tool']

/** At most one line: the roles that are probably misspelled. */
const roleWarnings = (file: string, counts: ReadonlyMap<string, number>): readonly string[] => {
  const found = [...counts].slice(0, 12).map((one) => {
    const near = nearest(one[0].toLowerCase(), [...commonRoles, ...roleNames])
    return inRows(one) + (near === null ? '' : ` (did you mean ${quoted(near)}?)`)
  })
  if (found.length === 0) return []
  return [`${file}: expected roles among ${alternatives(commonRoles)}, got ${found.join(', ')}; only messages of the assistant are learned`]
}
