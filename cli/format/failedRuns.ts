/** A sweep's failures, told once each: the runs of a task whose folder is missing all fail alike. */
import { plural } from './numbers.js'

type Failed = { readonly cell: string; readonly message: string; readonly attempts: number }

/** One line for each message, in the order of the first run that has it. */
export const failedRuns = (failed: ReadonlyArray<Failed>): ReadonlyArray<string> =>
  [...new Set(failed.map(({ message }) => message))].map((message) => {
    const alike = failed.filter((it) => it.message === message)
    const attempts = plural(Math.max(...alike.map((it) => it.attempts)), 'attempt')
    const others = alike.length > 1 ? ` and ${plural(alike.length - 1, 'more run')}` : ''
    return `${alike[0]?.cell}${others} failed (${attempts}): ${message}`
  })
