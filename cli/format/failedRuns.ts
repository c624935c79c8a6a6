/** A sweep's failures, one line per message: if a task's folder is missing, all its runs fail alike. */
import { plural } from './numbers.js'

type Failed = { readonly cell: string; readonly message: string; readonly attempts: number }

/** One line for each message, in the order of the first run that has it. */
export const failedRuns = (failed: ReadonlyArray<Failed>): ReadonlyArray<string> =>
  [...new Set(failed.map(({ message }) => message))].map((message) => {
    const alike = failed.filter((run) => run.message === message)
    const attempts = plural(Math.max(...alike.map((run) => run.attempts)), 'attempt')
    const others = alike.length > 1 ? ` and ${plural(alike.length - 1, 'more run')}` : ''
    return `${alike[0]?.cell}${others} failed (${attempts}): ${message}`
  })
