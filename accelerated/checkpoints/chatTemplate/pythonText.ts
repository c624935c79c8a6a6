/** Values of a template as Python writes them: printed alone, printed within lists and dictionaries, and as JSON. */
import { floatText } from '../../storage/json.js'
import { isList, isMap, type Value } from './templateValues.js'

/** Python's str(): what `{{ value }}` writes. @throws Error for a function */
export const pythonText = (value: Value): string => {
  switch (value.type) {
    case 'StringValue':
      return String(value.value)
    case 'UndefinedValue':
      return ''
    case 'NullValue':
      return 'None'
    case 'BooleanValue':
      return value.value === true ? 'True' : 'False'
    case 'IntegerValue':
      return integerText(value.value as number | bigint)
    case 'FloatValue':
      return floatText(value.value as number)
    case 'NamespaceValue':
      return `<Namespace ${inBraces(value)}>`
  }
  if (value.type === 'TupleValue' && isList(value))
    return `(${value.value.map(represented).join(', ')}${value.value.length === 1 ? ',' : ''})`
  if (isList(value)) return `[${value.value.map(represented).join(', ')}]`
  if (isMap(value)) return inBraces(value)
  throw new Error(`a text, a number, a list or an object can be written, not a ${value.type}`)
}

const inBraces = (value: Value): string =>
  isMap(value) ? `{${[...value.value].map(([name, part]) => `${quoted(name)}: ${represented(part)}`).join(', ')}}` : '{}'

/** Python's repr() */
const represented = (value: Value): string => {
  if (value.type === 'StringValue') return quoted(String(value.value))
  return value.type === 'UndefinedValue' ? 'Undefined' : pythonText(value)
}

const integerText = (value: number | bigint): string => String(Number.isSafeInteger(value) ? value : BigInt(value))

const shortEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' }

/** Python has single quotes, unless there are single ones and no double ones in the text, and escapes what cannot be seen. */
const quoted = (text: string): string => {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escaped = text.replace(/[\n\r\t\\'"]|(?! )[\p{C}\p{Z}]/gu, (character) => {
    if (character === "'" || character === '"') return character === quote ? `\\${quote}` : character
    return shortEscapes[character] ?? numbered(character.codePointAt(0) ?? 0)
  })
  return `${quote}${escaped}${quote}`
}

const numbered = (code: number): string => {
  const hex = code.toString(16)
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}

/** Arguments of Python's json.dumps. */
export type JsonLayout = {
  readonly indent: number | null
  readonly ensureAscii: boolean
  /** between items, and after a key */
  readonly separators: readonly [string, string]
  readonly sortKeys: boolean
}

export const usualSeparators = (indent: number | null): readonly [string, string] => [indent === null ? ', ' : ',', ': ']

/** Python's json.dumps. @throws Error for a function and for what is not defined */
export const pythonJson = (value: Value, layout: JsonLayout, depth = 0): string => {
  const { indent, ensureAscii, separators, sortKeys } = layout
  const text = (written: string): string => {
    const json = JSON.stringify(written)
    return ensureAscii ? json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`) : json
  }
  const between = (open: string, parts: readonly string[], close: string): string => {
    if (parts.length === 0) return open + close
    const line = (level: number): string => (indent === null ? '' : `\n${' '.repeat(indent * level)}`)
    return open + line(depth + 1) + parts.join(separators[0] + line(depth + 1)) + line(depth) + close
  }
  if (isList(value))
    return between(
      '[',
      value.value.map((part) => pythonJson(part, layout, depth + 1)),
      ']',
    )
  if (isMap(value)) {
    const entries = [...value.value]
    const sorted = sortKeys ? entries.toSorted(([a], [b]) => inOrder(a, b)) : entries
    return between(
      '{',
      sorted.map(([name, part]) => text(name) + separators[1] + pythonJson(part, layout, depth + 1)),
      '}',
    )
  }
  switch (value.type) {
    case 'StringValue':
      return text(String(value.value))
    case 'NullValue':
      return 'null'
    case 'BooleanValue':
      return String(value.value)
    case 'IntegerValue':
    case 'FloatValue':
      return pythonText(value).replace('inf', 'Infinity').replace('nan', 'NaN')
  }
  throw new Error(value.type === 'UndefinedValue' ? 'what is not defined as JSON' : `a ${value.type} as JSON`)
}

/** Python's order of texts: by code points, not by units of UTF-16. */
export const inOrder = (a: string, b: string): number => {
  const [left, right] = [[...a], [...b]]
  const at = left.findIndex((character, i) => character !== right[i])
  if (at === -1) return left.length - right.length
  return (left[at]?.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? -1)
}
