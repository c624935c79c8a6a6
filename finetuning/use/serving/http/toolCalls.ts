/** Calls of functions in the text of an answer, in the forms that chat templates teach: of Hermes and Qwen, Llama 3, and Mistral. */
import { z } from 'zod'
import { beginning, findFirst } from '../../../../accelerated/generation/answers.js'

/** arguments: JSON of an object */
export type ToolCall = { readonly name: string; readonly arguments: string }

/** What an answer says beside its calls. */
export type CallingText = { readonly content: string; readonly calls: readonly ToolCall[] }

const [open, close, list] = ['<tool_call>', '</tool_call>', '[TOOL_CALLS]']
const anyArguments = z.record(z.string(), z.unknown())
const call = z.object({ name: z.string(), arguments: anyArguments.optional(), parameters: anyArguments.optional() })

/**
 * Where the text may hold calls: from a marker on, or all of an answer that begins as JSON does, since a marker may be a special token without a text.
 * `isCertain`: more text will not turn it into a call. @param isBeginning whether the answer begins with this text
 */
const findCalls = (text: string, isBeginning = true): { readonly from: number; readonly isCertain: boolean } => {
  const first = text.trimStart()
  if (isBeginning && (first === '' || first.startsWith('{') || first.startsWith('['))) return { from: 0, isCertain: false }
  const at = findFirst(text, [open, list])
  return at >= 0 ? { from: at, isCertain: false } : { from: text.length - beginning(text, [open, list]), isCertain: true }
}

/** The calls of one of these functions; the whole text as content if it has others, or none. */
export const readCalls = (text: string, names: readonly string[], isBeginning = true): CallingText => {
  const { from } = findCalls(text, isBeginning)
  const calls = names.length === 0 ? null : parseCalls(text.slice(from).trim(), names)
  const content = text.slice(0, from)
  return calls === null ? { content: text, calls: [] } : { content: content.trim() === '' ? '' : content, calls }
}

const parseCalls = (text: string, names: readonly string[]): readonly ToolCall[] | null => {
  const [before, ...tagged] = text.split(open)
  const bodies = tagged.map((one) => one.split(close))
  if (tagged.length > 0 && (before !== '' || bodies.some(([, after = '', ...more]) => after.trim() !== '' || more.length > 0))) return null
  const json = tagged.length > 0 ? bodies.map(([body]) => body) : [text.startsWith(list) ? text.slice(list.length) : text]
  try {
    const read = z
      .array(call)
      .min(1)
      .parse(json.flatMap((one): unknown => JSON.parse(one ?? '')))
    if (!read.every(({ name }) => names.includes(name))) return null
    return read.map((one) => ({ name: one.name, arguments: JSON.stringify(one.arguments ?? one.parameters ?? {}) }))
  } catch {
    return null // text that looks like a call
  }
}

/** The same for a text that comes in pieces: content is passed on as soon as it cannot be part of a call. */
export const streamedCalls = (names: readonly string[]) => {
  let held = ''
  let isBeginning = true // nothing was passed on
  let isHolding = false // a call may have begun
  return {
    push: (piece: string): string => {
      if (names.length === 0) return piece
      held += piece
      if (isHolding) return ''
      const { from, isCertain } = findCalls(held, isBeginning)
      isHolding = !isCertain && held.trim() !== ''
      const content = held.slice(0, from)
      held = held.slice(from)
      isBeginning &&= content === ''
      return content
    },
    end: (): CallingText => readCalls(held, names, isBeginning),
  }
}
