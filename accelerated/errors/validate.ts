/** Validates JSON values with Zod schemas. An error map gives Zod's errors the words of an InputError. */
import { z } from 'zod'
import { inputError, quoted, formatValue } from './inputError.js'
import { didYouMean } from './nearest.js'
import type { Text } from './words.js'

/**
 * The value, with the schema's type. `what` describes it, such as `a plain LoRA configuration`.
 * @throws InputError for its first error, such as `WHERE: expected WHAT whose r is a whole number of at least 1, got 0`
 */
export const validate = <T>(schema: z.ZodType<T>, value: unknown, where: Text, what: string): T => {
  const parsed = schema.safeParse(value, { error: zodErrorMap })
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0] as z.core.$ZodIssue // a refused value has an issue
  throw inputError(
    where,
    issue.path.length === 0 ? `${what} (${issue.message})` : whose(what, issue),
    formatValue(findInvalidValue(issue, value)),
  )
}

/** Zod's error map, for `parse(value, { error: zodErrorMap })`: `a whole number of at least 1`, `one of a, b, c`, `a text of at most 500 characters`, `no key foo`. */
export const zodErrorMap: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      return isIntegerSchema(issue.schema) ? 'a whole number' : (kinds[issue.expected] ?? `a ${issue.expected}`)
    case 'invalid_value':
      return listAlternatives(issue.values)
    case 'too_small':
      return bounded(issue.origin, isIntegerSchema(issue.schema), issue.inclusive === true ? 'of at least' : 'above', issue.minimum)
    case 'too_big':
      return bounded(issue.origin, isIntegerSchema(issue.schema), issue.inclusive === true ? 'of at most' : 'below', issue.maximum)
    case 'unrecognized_keys':
      return `no key ${issue.keys[0]}`
    case 'invalid_key':
      return `under a key that is ${issue.issues[0]?.message}`
    case 'invalid_union':
      if (issue.inclusive !== false && issue.options !== undefined) return listAlternatives(issue.options)
      return [...new Set(issue.errors.map(([first]) => (first === undefined ? 'another value' : branch(first))))].join(' or ')
    default:
      return undefined // in Zod's words
  }
}

const kinds: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
}

const isIntegerSchema = (schema: z.core.$ZodType | undefined): boolean =>
  schema instanceof z.core.$ZodNumberFormat && schema._zod.def.format.includes('int')

const listAlternatives = (values: readonly unknown[]): string => (values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`)

const bounded = (origin: string, whole: boolean, relation: string, limit: number | bigint): string => {
  if (origin === 'string') return `a text ${relation} ${limit} ${limit === 1 ? 'character' : 'characters'}`
  if (origin === 'array') return `a list ${relation} ${limit} ${limit === 1 ? 'entry' : 'entries'}`
  return `${whole ? 'a whole number' : 'a number'} ${relation} ${limit}`
}

/** The expectation of one alternative of a union. */
const branch = (issue: z.core.$ZodIssue): string => (issue.path.length === 0 ? issue.message : whose('an object', issue))

const whose = (what: string, { code, path, message }: z.core.$ZodIssue): string =>
  `${what} whose ${path.map((key) => quoted(String(key)).slice(1, -1)).join('.')} ${code === 'unrecognized_keys' ? 'has' : 'is'} ${message}`

const findInvalidValue = (issue: z.core.$ZodIssue, value: unknown): unknown =>
  [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])].reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined),
    value,
  )

// Keys that an object of a program may not have: a mistyped option would be ignored in silence.
/** @throws InputError for the first key that is not among the names: `task: expected an option of a task (did you mean "label"?), got "labl"` */
export const refuseOtherKeys = (given: object, names: readonly string[], where: Text, what: string): void => {
  const other = Object.keys(given).find((key) => !names.includes(key))
  if (other === undefined) return
  const remedy = didYouMean(other, names)
  throw inputError(where, remedy === null ? what : `${what} (${remedy})`, quoted(other))
}
