/** The modules that a PEFT configuration matches: lists of names and regular expressions, by PEFT's rules. */
import { matchInTime } from '../../engines/matchInTime.js'
import { inputError, quoted, reason } from '../../errors/inputError.js'

/** Milliseconds for all regular expressions of one key together. They come from untrusted files. */
const timeLimit = 3_000

/** A list of names, each a whole name or its end (`query` matches every `….query`), or one regular expression for whole names. */
type ModulePattern = string | readonly string[]

/** For each name, whether the pattern matches it. @throws InputError if JavaScript refuses an expression, or if it takes too long */
export const matchModules = (pattern: ModulePattern, names: readonly string[], where: string): readonly boolean[] =>
  typeof pattern === 'string'
    ? (matchExpressions([pattern], (given) => `^(?:${given})$`, names, where)[0] ?? [])
    : names.map((name) => pattern.some((item) => name === item || name.endsWith(`.${item}`)))

/**
 * The value of `rank_pattern` or `alpha_pattern` for each name: that of the first key that matches. A key is a regular expression, and it must
 * match the name or the part after one of its dots. Undefined if none does. @throws InputError as matchModules does
 */
export const lookUpPattern = (
  table: Readonly<Record<string, number>>,
  names: readonly string[],
  where: string,
): readonly (number | undefined)[] => {
  const keys = Object.keys(table)
  const limit = 100 + 4 * names.length
  if (keys.length > limit)
    throw inputError(where, `at most ${limit} patterns of ranks or alphas for ${names.length} modules`, `${keys.length}`)
  const matches = matchExpressions(keys, (key) => `^(?:.*\\.)?(?:${key})$`, names, where)
  const first = names.map((_, i) => keys.find((_key, at) => matches[at]?.[i]))
  return first.map((key) => (key === undefined ? undefined : table[key]))
}

/** For each expression, whether each name matches. Expressions of letters, digits and dots cannot backtrack; the others run with a time limit. */
const matchExpressions = (
  given: readonly string[],
  toExpression: (given: string) => string,
  names: readonly string[],
  where: string,
): readonly (readonly boolean[])[] => {
  const risky = given.filter((written) => !isPlain(written))
  const limited = new Map(risky.length === 0 ? [] : matchWithinLimit(risky, toExpression, names, where))
  return given.map((written) => {
    const matches = limited.get(written)
    if (matches !== undefined) return matches
    const expression = new RegExp(toExpression(written))
    return names.map((name) => expression.test(name))
  })
}

const isPlain = (written: string): boolean => /^[\w.]*$/.test(written)

/** Runs in a context that can be stopped: an untrusted adapter may have an expression that backtracks forever. */
const matchWithinLimit = (
  given: readonly string[],
  toExpression: (given: string) => string,
  names: readonly string[],
  where: string,
): readonly (readonly [string, readonly boolean[]])[] => {
  const progress = { at: 0 }
  try {
    const matches = matchInTime(given.map(toExpression), names, timeLimit, progress)
    return given.map((written, at) => [written, matches[at] ?? []] as const)
  } catch (thrown) {
    throw inputError(where, 'a regular expression that matches module names', `${quoted(given[progress.at] ?? '')} (${reason(thrown)})`)
  }
}
