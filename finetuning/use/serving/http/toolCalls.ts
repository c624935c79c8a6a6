/** Calls of functions in the text of an answer, in the forms that chat templates teach: of Hermes and Qwen, Llama 3, Granite and Phi-4, and Mistral's two. */
import { z } from 'zod'
import { beginning, findFirst } from '../../../../accelerated/generation/answers.js'

/** arguments: JSON of an object */
export type ToolCall = { readonly name: string; readonly arguments: string }

/** What an answer says beside its calls. */
export type CallingText = { readonly content: string; readonly calls: readonly ToolCall[] }

const [open, close] = ['<tool_call>', '</tool_call>']
const markers = [open, '[TOOL_CALLS]', '<|tool_call|>']
const anyArguments = z.record(z.string(), z.unknown())
const call = z.object({ name: z.string(), arguments: anyArguments.optional(), parameters: anyArguments.optional() })

/**
 * Where the text may hold calls: from a marker on, or all of an answer that begins as JSON or as a function's name and its arguments do, since a marker
 * may be a special token without a text. `isCertain`: the text from there on is not known to be a call. @param isBeginning whether the answer begins here
 */
const findCalls = (
  text: string,
  names: readonly string[],
  isBeginning: boolean,
): { readonly from: number; readonly isCertain: boolean } => {
  const first = text.trimStart()
  const heads = names.flatMap((name) => [`${name}{`, `${name}[ARGS]`])
  if (isBeginning && (first === '' || ['{', '[', ...heads].some((head) => first.startsWith(head)))) return { from: 0, isCertain: false }
  if (isBeginning && heads.some((head) => head.startsWith(first))) return { from: 0, isCertain: true }
  const at = findFirst(text, markers)
  return at >= 0 ? { from: at, isCertain: false } : { from: text.length - beginning(text, markers), isCertain: true }
}

/** The calls of one of these functions; the whole text as content if it has others, or none. */
export const readCalls = (text: string, names: readonly string[], isBeginning = true): CallingText => {
  const { from } = findCalls(text, names, isBeginning)
  const calls = names.length === 0 ? null : parseCalls(text.slice(from).trim(), names)
  const content = text.slice(0, from)
  return calls === null ? { content: text, calls: [] } : { content: content.trim() === '' ? '' : content, calls }
}

const parseCalls = (text: string, names: readonly string[]): readonly ToolCall[] | null => {
  const [before, ...tagged] = text.split(open)
  const bodies = tagged.map((one) => one.split(close))
  if (tagged.length > 0 && (before !== '' || bodies.some(([, after = '', ...more]) => after.trim() !== '' || more.length > 0))) return null
  try {
    const found = tagged.length > 0 ? bodies.flatMap(([body = '']): unknown => JSON.parse(body)) : parseUntagged(text)
    const read = z.array(call).min(1).parse(found)
    if (!read.every(({ name }) => names.includes(name))) return null
    return read.map((one) => ({ name: one.name, arguments: JSON.stringify(one.arguments ?? one.parameters ?? {}) }))
  } catch {
    return null // text that looks like a call
  }
}

/** A list, as of Granite, Phi-4 and Mistral; or objects one after another, as of Llama 3, perhaps each after its function's name, as of Mistral since 2025. */
const parseUntagged = (text: string): unknown => {
  const body = text.replace(/^(?:\[TOOL_CALLS\]|<\|tool_call\|>)\s*|\s*<\|\/tool_call\|>$/g, '')
  if (body.startsWith('[')) return JSON.parse(body)
  const head = /\s*(?:;|\[TOOL_CALLS\])?\s*(?:([\w.-]+)\s*(?:\[ARGS\])?\s*)?(?=\{)/y
  const calls: unknown[] = []
  for (let end = 0; end < body.length; ) {
    head.lastIndex = end
    const [skipped, name] = head.exec(body) ?? [body]
    const start = end + skipped.length
    end = objectEnd(body, start)
    const object: unknown = JSON.parse(body.slice(start, end))
    calls.push(name === undefined ? object : { name, arguments: object })
  }
  return calls
}

/** Where the object of JSON that starts at `start` ends; the text's end if it does not. */
const objectEnd = (text: string, start: number): number => {
  let depth = 0
  for (const { 0: token, index } of text.slice(start).matchAll(/"(?:[^"\\]|\\.)*"?|[{}]/g)) {
    depth += token === '{' ? 1 : token === '}' ? -1 : 0
    if (depth === 0) return start + index + 1
  }
  return text.length
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
      const { from, isCertain } = findCalls(held, names, isBeginning)
      isHolding = !isCertain && held.trim() !== ''
      const content = held.slice(0, from)
      held = held.slice(from)
      isBeginning &&= content === ''
      return content
    },
    end: (): CallingText => readCalls(held, names, isBeginning),
  }
}
