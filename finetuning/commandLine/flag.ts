/** A flag as data: what --help prints of it, and how the text after it becomes a value. */
import { quoted } from '../../accelerated/errors/inputError.js'
import { decimal } from '../data/dataset.js'
import { isViaSet, toFlag } from './optionNames.js'
import { requiredError, usageError } from './usageError.js'

/** What the user typed for one flag: nothing, the flag alone (`--no-…`: false), one text or several. */
export type Typed = undefined | boolean | string | readonly string[]

/** How many texts follow a flag; one that is repeatable takes one text each time. */
export type Arity = 'none' | 'one' | 'optional' | 'several' | 'optionalSeveral' | 'repeatable'

export type Flag<T = unknown> = {
  readonly arity: Arity
  /** the value in --help, as `rate` in `--learning-rate <rate>`; empty for a switch */
  readonly placeholder: string
  /** an imperative or a noun phrase that stands alone; --help appends the default */
  readonly description: string
  /** the default in words; null where there is none */
  readonly defaultText: string | null
  /** listed by --help; the others only by --help-all */
  readonly common: boolean
  /** understood, but listed nowhere */
  readonly hidden: boolean
  /** a switch that is on by default: `--no-load-best-model-at-end` turns it off */
  readonly negatable: boolean
  /** one letter, as `q` for `-q` */
  readonly short: string | null
  /** whether the command cannot do without it */
  readonly isRequired: boolean
  /** @throws UsageError if the text is wrong; `where` is the flag as typed */
  readonly parse: (where: string, typed: Typed) => T
}

/** Flags by their names in camelCase, in the order of --help. */
export type FlagTable = Readonly<Record<string, Flag>>

/** Tables by their headings in --help. */
export type FlagGroups = Readonly<Record<string, FlagTable>>

type Intersection<U> = (U extends unknown ? (u: U) => void : never) extends (u: infer I) => void ? I : never
type TableValues<T> = { readonly [Name in keyof T]: T[Name] extends Flag<infer V> ? V : never }

/** The values of all groups' flags by name. */
export type FlagValues<G extends FlagGroups> = Intersection<{ [Heading in keyof G]: TableValues<G[Heading]> }[keyof G]>

const placeholderFormats: Readonly<Record<Flag['arity'], (placeholder: string) => string>> = {
  none: () => '',
  one: (placeholder) => ` <${placeholder}>`,
  optional: (placeholder) => ` [${placeholder}]`,
  several: (placeholder) => ` <${placeholder}...>`,
  optionalSeveral: (placeholder) => ` [${placeholder}...]`,
  repeatable: (placeholder) => ` <${placeholder}>`,
}

/** `--rank <r>`, `-q, --quiet`, `--set tau=<number>` */
export const formatFlag = (name: string, { arity, placeholder, short }: Flag): string =>
  isViaSet(name)
    ? `${toFlag(name)}=<${placeholder}>`
    : `${short === null ? '' : `-${short}, `}${toFlag(name)}${placeholderFormats[arity](placeholder)}`

/** A flag with everything that is usual: one text, listed by --help. */
export const flag = <T>(base: Pick<Flag<T>, 'description' | 'parse'> & Partial<Flag<T>>): Flag<T> => ({
  arity: 'one',
  placeholder: '',
  defaultText: null,
  common: true,
  hidden: false,
  negatable: false,
  short: null,
  isRequired: false,
  ...base,
})

/** The same flag, listed by --help-all only. */
export const advanced = <T>(base: Flag<T>): Flag<T> => ({ ...base, common: false })

/** The same flag, listed nowhere. */
export const hidden = <T>(base: Flag<T>): Flag<T> => ({ ...base, hidden: true })

/** The same flag, which the command cannot do without. @param what it is, after `--model is required: ` */
export const required = <T>(base: Flag<T>, what: string): Flag<NonNullable<T>> => ({
  ...base,
  isRequired: true,
  parse: (where, typed) => {
    const value = base.parse(where, typed)
    if (value === null || value === undefined) throw requiredError(where, what)
    return value
  },
})

export const switchFlag = (description: string): Flag<boolean> => flag({ arity: 'none', description, parse: (_, typed) => typed === true })

type Fallback<D> = {
  /** the value where the flag is absent */
  readonly default?: D
  /** the default in words, where its value says too little */
  readonly defaultText?: string
}

const describeDefault = <D>({
  default: value,
  defaultText,
}: Fallback<D>): { readonly value: D | null; readonly defaultText: string | null } => ({
  value: value ?? null,
  defaultText: defaultText ?? (value === undefined || value === null ? null : String(value)),
})

/** A flag of one text. @param read of the text @throws UsageError */
const ofText = <T, D>(
  placeholder: string,
  description: string,
  fallback: Fallback<D>,
  read: (where: string, text: string) => T,
): Flag<T | D> => {
  const { value, defaultText } = describeDefault(fallback)
  // without a default the flag's type has null for D
  return flag({
    placeholder,
    description,
    defaultText,
    parse: (where, typed) => (typeof typed === 'string' ? read(where, typed) : (value as D)),
  })
}

/** Any text that is not empty. */
export const textFlag = <D extends string | null = null>(
  placeholder: string,
  description: string,
  fallback: Fallback<D> = {},
): Flag<string | D> => ofText(placeholder, description, fallback, parseText)

export const numberFlag = <D extends number | null = null>(
  placeholder: string,
  description: string,
  fallback: Fallback<D> & { readonly above?: number } = {},
): Flag<number | D> =>
  ofText(placeholder, description, fallback, (where, text) => {
    const value = parseNumber(where, text)
    if (fallback.above !== undefined && value <= fallback.above) throw usageError(where, `a number above ${fallback.above}`, text)
    return value
  })

/** A whole number, from 1 on unless `from` says otherwise. */
export const countFlag = <D extends number | null = null>(
  placeholder: string,
  description: string,
  { from = 1, to = Number.MAX_SAFE_INTEGER, ...fallback }: Fallback<D> & { readonly from?: number; readonly to?: number } = {},
): Flag<number | D> =>
  ofText(placeholder, description, fallback, (where, text) => {
    const value = parseNumber(where, text)
    const range = to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`
    if (!Number.isInteger(value) || value < from || value > to) throw usageError(where, `a whole number ${range}`, text)
    return value
  })

export const choiceFlag = <T extends string, D extends T | null = null>(
  names: readonly T[],
  placeholder: string,
  description: string,
  fallback: Fallback<D> = {},
): Flag<T | D> => ofText(placeholder, description, fallback, (where, text) => parseChoice(where, text, names))

/** Texts separated by commas. */
export const listFlag = (
  placeholder: string,
  description: string,
  fallback: Pick<Fallback<never>, 'defaultText'> = {},
): Flag<readonly string[] | null> => ofText(placeholder, description, fallback, parseList)

/** One text or several, up to the next flag. */
export const severalFlag = (
  placeholder: string,
  description: string,
  fallback: Pick<Fallback<never>, 'defaultText'> = {},
): Flag<readonly string[] | null> =>
  flag({ arity: 'several', placeholder, description, defaultText: fallback.defaultText ?? null, parse: (_, typed) => parseTexts(typed) })

/** One text each time that the flag is given. */
export const repeatableFlag = (placeholder: string, description: string): Flag<readonly string[]> =>
  flag({
    arity: 'repeatable',
    placeholder,
    description,
    parse: (where, typed) => (parseTexts(typed) ?? []).map((text) => parseText(where, text)),
  })

const parseTexts = (typed: Typed): readonly string[] | null => (Array.isArray(typed) ? typed.map(String) : null)

/** @throws UsageError for a text that is empty */
export const parseText = (where: string, text: string): string => {
  if (text === '') throw usageError(where, 'a value', 'an empty one')
  return text
}

/** @throws UsageError for what is no finite decimal number */
export const parseNumber = (where: string, text: string): number => {
  const value = decimal(text)
  if (value === null) throw usageError(where, 'a number', quoted(text))
  return value
}

/** @throws UsageError for a part that is empty */
export const parseList = (where: string, text: string): readonly string[] => {
  const parts = text.split(',').map((part) => part.trim())
  if (parts.includes('')) throw usageError(where, 'names separated by commas', quoted(text))
  return parts
}

/** @throws UsageError for a name that is not among `names` */
export const parseChoice = <T extends string>(where: string, text: string, names: readonly T[]): T => {
  const chosen = names.find((name) => name === text)
  if (chosen === undefined) throw usageError(where, `one of ${names.join(', ')}`, quoted(text))
  return chosen
}
