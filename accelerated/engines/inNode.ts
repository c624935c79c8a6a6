/** What this program asks of Node alone. In a browser inBrowser.ts is in its place ("browser" in package.json). */
import { totalmem } from 'node:os'
import { runInNewContext } from 'node:vm'

/** In bytes: the machine's memory, or the container's limit. */
export const memoryLimit = (): number => Math.min(totalmem(), process.constrainedMemory() || Infinity)

/** In bytes, of the whole process so far. */
export const peakMemory = (): number => process.resourceUsage().maxRSS * 1024

/**
 * For each expression of an untrusted file, whether each name matches: one may backtrack forever, and only node:vm can stop it.
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
