/** Operators, tests, filters and methods of templates where Python and the library differ. */
import { Float } from '../../storage/json.js'
import { blank, splitBlanks, strip, type Sides } from '../tokenizer/pythonBlanks.js'
import { inOrder, pythonJson, pythonText, usualSeparators, type JsonLayout } from './pythonText.js'
import { areEqual, isList, isMap, isNumber, isTrue, like, templateValue, type Value } from './templateValues.js'

export type Test = (value: Value, argument: Value) => boolean

const [undefinedValue, emptyList] = [templateValue(undefined), templateValue([])]

/** What a table has for a name of a template, which may be one that every object inherits. */
export const findEntry = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined

/** Texts that were marked as `safe`: Python's Markup, which escapes the texts that are added to it. */
const markup = new WeakSet<Value>()
const asMarkup = (text: string): Value => {
  const value = templateValue(text)
  markup.add(value)
  return value
}
const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' }
const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? character)

/** left + right of two texts, where one of them is such a text; else null */
export const addMarkup = (left: Value, right: Value): Value | null => {
  const texts = [left, right].map(asText)
  if (texts.includes(null) || (!markup.has(left) && !markup.has(right))) return null
  return asMarkup([left, right].map((part, i) => (markup.has(part) ? texts[i] : escaped(texts[i] ?? ''))).join(''))
}

/** Dictionaries with numbers as keys, which no value of the library has: as values of which only these entries can be read. */
const numbered = new WeakMap<Value, readonly (readonly [Value, Value])[]>()
export const numberedObject = (entries: readonly (readonly [Value, Value])[]): Value => {
  const value = templateValue(() => {
    throw new Error('a dictionary with numbers as keys')
  })
  numbered.set(value, entries)
  return value
}

/** null: what the library does is right. */
export const operators: Readonly<Record<string, (left: Value, right: Value) => unknown>> = {
  '==': areEqual,
  '!=': (left, right) => !areEqual(left, right),
  '~': (left, right) => pythonText(left) + pythonText(right),
  in: (left, right) => (isList(right) ? right.value.some((part) => areEqual(left, part)) : null),
  'not in': (left, right) => (isList(right) ? !right.value.some((part) => areEqual(left, part)) : null),
  '+': (left, right) => {
    if ((left.type === 'StringValue') !== (right.type === 'StringValue')) throw new Error(`${toTypeName(left)} + ${toTypeName(right)}`)
    return null
  },
  '/': (left, right) => {
    notByZero(right)
    return isNumber(left) && isNumber(right) ? new Float(Number(left.value) / Number(right.value)) : null
  },
  '//': (_, right) => notByZero(right),
  '%': (left, right) => {
    if (!isNumber(left) || !isNumber(right)) return null
    notByZero(right)
    if (typeof left.value === 'bigint' || typeof right.value === 'bigint')
      return left.type === right.type ? floored(BigInt(left.value), BigInt(right.value)) : null
    const [a, b] = [Number(left.value), Number(right.value)]
    const rest = a % b
    if (left.type !== 'FloatValue' && right.type !== 'FloatValue')
      return rest !== 0 && rest < 0 !== b < 0 ? rest + b : Math.abs(rest) * Math.sign(b)
    return new Float(rest === 0 ? Math.sign(b) * 0 : rest < 0 !== b < 0 ? rest + b : rest)
  },
}

/** The rest that has the divisor's sign. */
const floored = (a: bigint, b: bigint): bigint => {
  const rest = a % b
  return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest
}

const toTypeName = ({ type }: Value): string => type.replace('Value', '').toLowerCase()

const notByZero = (divisor: Value): null => {
  if (isNumber(divisor) && Number(divisor.value) === 0) throw new Error('a division by zero')
  return null
}

export const sides: Readonly<Record<string, Sides>> = {
  strip: { left: true, right: true },
  lstrip: { left: true, right: false },
  rstrip: { left: false, right: true },
}

const isBlank = new RegExp(`[${blank}]`)

/** @param characters that go; undefined or none: blanks */
export const stripped = (text: string, side: Sides, characters: Value | undefined): string => {
  if (characters === undefined || characters.type === 'NullValue') return strip(text, side, (character) => isBlank.test(character))
  if (characters.type !== 'StringValue') throw new Error(`strip: expected a text of characters, got ${characters.type}`)
  const dropped = new Set(String(characters.value))
  return strip(text, side, (character) => dropped.has(character))
}

const capitalized = (text: string): string => {
  const [first = '', ...rest] = text
  return first.toUpperCase() + rest.join('').toLowerCase()
}

/** Python's str.title(): a letter after another one is small. */
const titled = (text: string): string => text.replace(/\p{L}+/gu, capitalized)

/** Without arguments. */
export const textMethods: Readonly<Record<string, (text: string) => unknown>> = {
  capitalize: capitalized,
  title: titled,
  split: splitBlanks,
}

/** Whether a text has letters, and all of them are in one case. */
const isAll = (value: Value, cased: 'toLowerCase' | 'toUpperCase'): boolean => {
  const text = pythonText(value)
  return text === text[cased]() && text.toLowerCase() !== text.toUpperCase()
}

const isIterable: Test = (value) => isList(value) || isMap(value) || ['StringValue', 'UndefinedValue'].includes(value.type)

/** null: what the library does is right. */
export const tests: Readonly<Record<string, Test>> = {
  number: isNumber,
  iterable: isIterable,
  sequence: isIterable,
  lower: (value) => isAll(value, 'toLowerCase'),
  upper: (value) => isAll(value, 'toUpperCase'),
  equalto: areEqual,
  eq: areEqual,
}

type Filtered = {
  readonly operand: Value
  readonly values: readonly Value[]
  readonly named: ReadonlyMap<string, Value>
  readonly findTest: (name: string) => Test | undefined
}

const asText = (value: Value): string | null => (value.type === 'StringValue' ? String(value.value) : null)

/** Filters that take any value as its text. */
const onText =
  (apply: (text: string) => unknown) =>
  ({ operand, values, named }: Filtered): Value | null =>
    values.length + named.size > 0 ? null : templateValue(apply(pythonText(operand)))

/** The characters of a text, or the entries of a list; null for other values. */
const listParts = ({ operand }: Filtered): readonly Value[] | null => {
  if (isList(operand)) return operand.value
  return operand.type === 'StringValue' ? [...String(operand.value)].map(templateValue) : null
}

const onParts =
  (apply: (parts: readonly Value[]) => Value) =>
  (filtered: Filtered): Value | null => {
    const parts = listParts(filtered)
    return parts === null ? null : apply(parts)
  }

const countParts = onParts((parts) => templateValue(parts.length))

/** The first of the least or of the greatest values, numbers or texts, whatever the case of their letters. */
const extreme = (parts: readonly Value[], which: 'min' | 'max'): Value => {
  const areAll = (holds: (part: Value) => boolean): boolean => parts.every(holds)
  if (!areAll(isNumber) && !areAll(({ type }) => type === 'StringValue')) throw new Error(`${which}: expected numbers or texts alone`)
  const isBefore = (a: Value, b: Value): boolean => {
    if (isNumber(a) && isNumber(b)) return a.value < b.value
    return inOrder(String(a.value).toLowerCase(), String(b.value).toLowerCase()) < 0
  }
  return parts.reduce(
    (best, part) => ((which === 'min' ? isBefore(part, best) : isBefore(best, part)) ? part : best),
    parts[0] ?? undefinedValue,
  )
}

/** Jinja's title(): what begins a word. */
const wordStart = new RegExp(`([-({[<${blank}]+)`)

/** null: what the library does is right. */
export const filters: Readonly<Record<string, (filtered: Filtered) => Value | null>> = {
  string: ({ operand }) => templateValue(pythonText(operand)),
  length: countParts,
  count: countParts,
  first: onParts(([first]) => first ?? undefinedValue),
  last: onParts((parts) => parts.at(-1) ?? undefinedValue),
  list: onParts((parts) => like(emptyList, parts)),
  upper: onText((text) => text.toUpperCase()),
  lower: onText((text) => text.toLowerCase()),
  capitalize: onText(capitalized),
  title: onText((text) => text.split(wordStart).map(capitalized).join('')),
  dictsort: ({ operand, values, named }) => {
    const entries = numbered.get(operand)
    if (entries === undefined || values.length + named.size > 0) return null
    const sorted = entries.toSorted(([a], [b]) => Number(a.value) - Number(b.value))
    return like(
      emptyList,
      sorted.map((entry) => like(emptyList, entry)),
    )
  },
  safe: ({ operand }) => asMarkup(pythonText(operand)),
  min: onParts((parts) => extreme(parts, 'min')),
  max: onParts((parts) => extreme(parts, 'max')),
  indent: indented,
  trim: onText((text) => stripped(text, { left: true, right: true }, undefined)),
  tojson: ({ operand, named }) => templateValue(pythonJson(operand, readJsonLayout(named))),
  join: (filtered) => {
    const [separator = filtered.named.get('d')] = filtered.values
    const parts = filtered.named.has('attribute') ? null : listParts(filtered)
    return parts === null ? null : templateValue(parts.map(pythonText).join(separator === undefined ? '' : pythonText(separator)))
  },
  int: ({ operand, values: [first], named }) => {
    if (operand.type === 'NullValue') return first ?? named.get('default') ?? templateValue(0)
    if (operand.type === 'FloatValue') return templateValue(Math.trunc(Number(operand.value)))
    const text = asText(operand)?.trim()
    if (text === undefined) return null
    if (/^[+-]?\d+(_\d+)*$/.test(text)) return templateValue(Number(text.replaceAll('_', '')))
    const float = numberIn(text)
    return float === null ? (first ?? named.get('default') ?? templateValue(0)) : templateValue(Math.trunc(float))
  },
  float: ({ operand, values: [first], named }) => {
    if (isNumber(operand)) return templateValue(new Float(Number(operand.value)))
    const text = asText(operand)?.trim()
    if (text === undefined) return null
    const float = numberIn(text)
    return float === null ? (first ?? named.get('default') ?? templateValue(new Float(0))) : templateValue(new Float(float))
  },
  map: ({ operand }) => (isTrue(operand) ? null : emptyList),
  selectattr: (filtered) => selected(filtered, true),
  rejectattr: (filtered) => selected(filtered, false),
}

/** The ends of lines in Python, where JavaScript has fewer. */
const lineEnd = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/

/** Later lines that are not empty begin with `width` spaces, or with that text; `first` and `blank` add the others. */
function indented({ operand, values, named }: Filtered): Value | null {
  const text = asText(operand)
  if (text === null) return null
  const [width, first, blank] = (['width', 'first', 'blank'] as const).map((name, i) => values[i] ?? named.get(name))
  if (width !== undefined && width.type !== 'StringValue' && !(Number(width.value) <= widestIndent))
    throw new Error(`indent: expected at most ${widestIndent} spaces, got ${pythonText(width)}`)
  const indent = width?.type === 'StringValue' ? String(width.value) : ' '.repeat(Number(width?.value ?? 4))
  const lines = text.split(lineEnd)
  const isIndented = (line: string, i: number): boolean => (i === 0 ? first?.value === true : line !== '' || blank?.value === true)
  return templateValue(lines.map((line, i) => (isIndented(line, i) ? indent + line : line)).join('\n'))
}

/** Spaces of JSON's levels. */
const widestIndent = 100

const none = templateValue(null)

const numberIn = (text: string): number | null => (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : null)

const readJsonLayout = (named: ReadonlyMap<string, Value>): JsonLayout => {
  const indent = (named.get('indent')?.value ?? null) as number | null
  if (indent !== null && !(Number.isInteger(indent) && indent >= 0 && indent <= widestIndent))
    throw new Error(`tojson: expected an indent from 0 to ${widestIndent}, got ${String(indent)}`)
  const separators = named.get('separators') ?? none
  const parts = isList(separators) ? separators.value.map(asText) : usualSeparators(indent)
  const [item, key] = parts
  if (parts.length !== 2 || item == null || key == null) throw new Error('tojson: expected two texts as separators')
  const isOn = (name: string): boolean => named.get(name)?.value === true
  return { indent, ensureAscii: isOn('ensure_ascii'), separators: [item, key], sortKeys: isOn('sort_keys') }
}

/** `selectattr('name', 'undefined')`: for an item without the attribute, the library does not run the test, but takes it as failed. */
const selected = ({ operand, values: [attribute, test, argument], findTest }: Filtered, isKept: boolean): Value | null => {
  if (!isTrue(operand)) return emptyList // as Python does not look at it
  if (!isList(operand) || test === undefined) return null
  const passes = findTest(String(test.value))
  if (passes === undefined) throw new Error(`Unknown test: ${String(test.value)}`)
  const kept = operand.value.filter((item) => {
    if (!isMap(item)) throw new Error('selectattr or rejectattr: expected a list of objects')
    return passes(item.value.get(String(attribute?.value)) ?? undefinedValue, argument ?? undefinedValue) === isKept
  })
  return like(operand, kept)
}
