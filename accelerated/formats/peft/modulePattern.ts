/** Which modules a PEFT configuration means: its lists of names and its regular expressions, by PEFT's own rules. */
import { runInNewContext } from 'node:vm'
import { inputError, quoted, reason } from '../../errors/inputError.js'

/** Milliseconds that the untrusted regular expressions of one setting may take together, over all module names. */
const patience = 3_000

/** A list of names, each exact or a whole ending (`query` means every `….query`), or one regular expression for the whole name. */
export type ModulePattern = string | ReadonlyArray<string>

/** For each name, whether `target_modules` or `exclude_modules` means it. Throws Mistake for an expression that JavaScript refuses. */
export const matchModules = (pattern: ModulePattern, names: ReadonlyArray<string>, where: string): ReadonlyArray<boolean> =>
  typeof pattern === 'string'
    ? (matchExpressions([pattern], (given) => `^(?:${given})$`, names, where)[0] ?? [])
    : names.map((name) => pattern.some((item) => name === item || name.endsWith(`.${item}`)))

/**
 * The value of `rank_pattern` or `alpha_pattern` for each name: that of the first key which, as a regular expression, matches the
 * name or what follows one of its dots; undefined where none does.
 */
export const lookUpPattern = (
  table: Readonly<Record<string, number>>,
  names: ReadonlyArray<string>,
  where: string,
): ReadonlyArray<number | undefined> => {
  const keys = Object.keys(table)
  const limit = 100 + 4 * names.length
  if (keys.length > limit)
    throw inputError(where, `at most ${limit} patterns of ranks or alphas for ${names.length} modules`, `${keys.length}`)
  const matches = matchExpressions(keys, (key) => `^(?:.*\\.)?(?:${key})$`, names, where)
  const first = names.map((_, i) => keys.find((_key, at) => matches[at]?.[i]))
  return first.map((key) => (key === undefined ? undefined : table[key]))
}

/** For each expression whether each name matches. One of letters, digits and dots cannot backtrack; the others are tried where they can be stopped. */
const matchExpressions = (
  given: ReadonlyArray<string>,
  expressionOf: (given: string) => string,
  names: ReadonlyArray<string>,
  where: string,
): ReadonlyArray<ReadonlyArray<boolean>> => {
  const risky = given.filter((written) => !isPlain(written))
  const tried = new Map(risky.length === 0 ? [] : matchWithinPatience(risky, expressionOf, names, where))
  return given.map((written) => {
    const known = tried.get(written)
    if (known !== undefined) return known
    const expression = new RegExp(expressionOf(written))
    return names.map((name) => expression.test(name))
  })
}

const isPlain = (written: string): boolean => /^[\w.]*$/.test(written)

/** In a context of its own with a time limit: an adapter from the net may hold an expression that backtracks for ever. */
const matchWithinPatience = (
  given: ReadonlyArray<string>,
  expressionOf: (given: string) => string,
  names: ReadonlyArray<string>,
  where: string,
): ReadonlyArray<readonly [string, ReadonlyArray<boolean>]> => {
  const progress = { at: 0 }
  try {
    const answer: unknown = runInNewContext(
      `JSON.stringify(expressions.map((expression, at) => {
        progress.at = at
        const re = new RegExp(expression)
        return names.map((name) => re.test(name))
      }))`,
      { expressions: given.map(expressionOf), names: [...names], progress },
      { timeout: patience },
    )
    const matches = JSON.parse(String(answer)) as ReadonlyArray<ReadonlyArray<boolean>>
    return given.map((written, at) => [written, matches[at] ?? []] as const)
  } catch (thrown) {
    throw inputError(where, 'a regular expression that matches module names', `${quoted(given[progress.at] ?? '')} (${reason(thrown)})`)
  }
}
