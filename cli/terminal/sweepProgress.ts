/** A sweep's progress on standard error: a bar of all runs on a terminal, elsewhere a line for each run that ends. */
import type { OnSweepEvent } from '../../evaluation/glue/plan.js'
import type { ExecutorEvent } from '../../evaluation/jobs/executor.js'
import { duration, plural } from '../format/numbers.js'
import { countProgress, queueLine } from './progress.js'
import type { Terminal } from './output.js'

/** Parts of a run in the bar. */
const parts = 100

export const sweepProgress = (terminal: Terminal): { readonly onEvent: OnSweepEvent; readonly close: () => void } => {
  let bar: ReturnType<typeof countProgress> | null = null
  let cells = 0
  const openBar = () => countProgress('runs (%)', parts * cells, terminal)
  const [progress, ended] = [new Map<string, number>(), new Set<string>()]
  const close = (): void => {
    bar?.close()
    bar = null
  }
  /** a line above the bar */
  const interject = (line: string): void => {
    const isShown = bar !== null
    close()
    terminal.note(line)
    if (isShown) bar = openBar()
  }
  return {
    close,
    onEvent: (event) => {
      if (event.kind === 'planned') {
        close()
        progress.clear()
        terminal.note(`${plural(event.cells, 'run')}${event.stage === 'grid' ? ' to choose learning rates' : ''}`)
        cells = event.cells
        if (process.stderr.isTTY === true) bar = openBar()
        return
      }
      if (event.kind === 'message') {
        close()
        terminal.note(`${event.text} …`)
        return
      }
      if (event.kind === 'waiting') return interject(waitingLine(event))
      if (event.kind === 'queue') return interject(queueLine(event))
      const { id } = event.cell
      if (event.kind === 'step') progress.set(id, Math.floor((parts * event.step) / Math.max(1, event.steps)))
      if (event.kind === 'ended') {
        progress.set(id, parts)
        if (!ended.has(id) && process.stderr.isTTY !== true) terminal.note(endedLine(event))
        ended.add(id)
      }
      bar?.show([...progress.values()].reduce((sum, part) => sum + part, 0))
    },
  }
}

/** One line for a run that has to wait. */
export const waitingLine = ({ cell, reason }: Extract<ExecutorEvent, { readonly kind: 'waiting' }>): string =>
  `${cell.id}: waiting: ${reason}`

/** One line for a run that ended. */
export const endedLine = ({ cell, outcome }: Extract<ExecutorEvent, { readonly kind: 'ended' }>): string => {
  if (outcome.kind === 'stopped') return `${cell.id}: stopped`
  if (outcome.kind === 'failed') return `${cell.id}: failed`
  const scores = Object.entries(outcome.result.last.scores).map(([metric, score]) => `${metric} ${score.toFixed(3)}`)
  return `${cell.id}: ${outcome.reused ? 'already done' : duration(outcome.result.seconds)}, ${scores.join(', ')}`
}

/** A sweep's failures, one line per message: if a task's folder is missing, all its runs fail alike. */
type Failed = { readonly cell: string; readonly message: string; readonly attempts: number }

/** One line for each message, in the order of the first run that has it. */
export const failedRuns = (failed: readonly Failed[]): readonly string[] =>
  [...new Set(failed.map(({ message }) => message))].map((message) => {
    const alike = failed.filter((run) => run.message === message)
    const attempts = plural(Math.max(...alike.map((run) => run.attempts)), 'attempt')
    const others = alike.length > 1 ? ` and ${plural(alike.length - 1, 'more run')}` : ''
    return `${alike[0]?.cell}${others} failed (${attempts}): ${message}`
  })
