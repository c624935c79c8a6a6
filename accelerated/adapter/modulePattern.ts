/** Which modules a PEFT configuration means: its lists of names and its regular expressions, by PEFT's own rules. */
import { runInNewContext } from 'node:vm'
import { fileError, quoted, reason } from '../checkpoint/fileError.js'

/** Milliseconds that one untrusted regular expression may take over all module names. */
const patience = 3_000

/** A list of names, each exact or a whole ending (`query` means every `….query`), or one regular expression for the whole name. */
export type ModulePattern = string | ReadonlyArray<string>

/** For each name, whether `target_modules` or `exclude_modules` means it. Throws FileError for an expression that JavaScript refuses. */
export const matchModules = (pattern: ModulePattern, names: ReadonlyArray<string>, where: string): ReadonlyArray<boolean> =>
  typeof pattern === 'string'
    ? matchExpression(pattern, `^(?:${pattern})$`, names, where)
    : names.map((name) => pattern.some((item) => name === item || name.endsWith(`.${item}`)))

/**
 * The value of `rank_pattern` or `alpha_pattern` for each name: that of the first key which, as a regular expression, matches the
 * name or what follows one of its dots; undefined where none does.
 */
export const lookUpPattern = (
  table: Readonly<Record<string, number>>,
  names: ReadonlyArray<string>,
  where: string,
): ReadonlyArray<number | undefined> =>
  Object.entries(table).reduceRight<ReadonlyArray<number | undefined>>((found, [key, value]) => {
    const matches = matchExpression(key, `^(?:.*\\.)?(?:${key})$`, names, where)
    return found.map((earlier, i) => (matches[i] ? value : earlier))
  }, names.map(() => undefined))

/** Whether each name matches. A key of letters, digits and dots cannot backtrack; any other is tried where it can be stopped. */
const matchExpression = (given: string, expression: string, names: ReadonlyArray<string>, where: string): ReadonlyArray<boolean> => {
  if (/^[\w.]*$/.test(given)) return names.map((name) => new RegExp(expression).test(name))
  try {
    return matchWithinPatience(expression, names)
  } catch (thrown) {
    throw fileError(where, 'a regular expression that matches module names', `${quoted(given)} (${reason(thrown)})`)
  }
}

/** In a context of its own with a time limit: an adapter from the net may hold an expression that backtracks for ever. */
const matchWithinPatience = (expression: string, names: ReadonlyArray<string>): ReadonlyArray<boolean> => {
  const answer: unknown = runInNewContext(
    'const re = new RegExp(expression); JSON.stringify(names.map((name) => re.test(name)))',
    { expression, names: [...names] },
    { timeout: patience },
  )
  return JSON.parse(String(answer)).map(Boolean)
}
