/** Regular expressions of untrusted files, with a time limit: one may backtrack forever, and only node:vm can stop it. */
import { runInNewContext } from 'node:vm'

/**
 * For each expression, whether each name matches.
 * @param limit in milliseconds, for all of them @param progress gets the index of the expression that is running
 * @throws an error of JavaScript or of the time limit
 */
export const matchInTime = (
  expressions: readonly string[],
  names: readonly string[],
  limit: number,
  progress: { at: number },
): readonly (readonly boolean[])[] => {
  const answer: unknown = runInNewContext(
    `JSON.stringify(expressions.map((expression, at) => {
      progress.at = at
      const re = new RegExp(expression)
      return names.map((name) => re.test(name))
    }))`,
    { expressions: [...expressions], names: [...names], progress },
    { timeout: limit },
  )
  return JSON.parse(String(answer)) as readonly (readonly boolean[])[]
}
