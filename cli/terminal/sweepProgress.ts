/** A sweep's progress on standard error: a bar of all runs on a terminal, a line for each run that ends elsewhere. */
import type { OnSweepEvent } from '../../evaluation/glue/sweepOptions.js'
import type { ExecutorEvent } from '../../evaluation/glue/executor.js'
import { duration, plural } from '../format/numbers.js'
import { countProgress } from './progress.js'
import type { Terminal } from './output.js'

/** Parts of a run in the bar. */
const parts = 100

export const sweepProgress = (terminal: Terminal): { readonly tell: OnSweepEvent; readonly close: () => void } => {
  let bar: ReturnType<typeof countProgress> | null = null
  let cells = 0
  const barOf = () => countProgress('runs, in hundredths', parts * cells, terminal)
  const [shares, ended] = [new Map<string, number>(), new Set<string>()]
  const show = (): void => bar?.show([...shares.values()].reduce((sum, share) => sum + share, 0))
  const close = (): void => {
    bar?.close()
    bar = null
  }
  return {
    close,
    tell: (event) => {
      if (event.kind === 'planned') {
        close()
        shares.clear()
        terminal.note(`${plural(event.cells, 'run')}${event.stage === 'grid' ? ' on the grid of learning rates' : ''}`)
        cells = event.cells
        if (process.stderr.isTTY === true) bar = barOf()
        return
      }
      if (event.kind === 'message') {
        close()
        terminal.note(`${event.text} …`)
        return
      }
      if (event.kind === 'waiting' || event.kind === 'queue') {
        const shown = bar !== null
        close()
        terminal.note(event.kind === 'waiting' ? waitingOf(event) : queueLine(event))
        if (shown) bar = barOf()
        return
      }
      const { id } = event.cell
      if (event.kind === 'step') shares.set(id, Math.floor((parts * event.step) / Math.max(1, event.steps)))
      if (event.kind === 'ended') {
        shares.set(id, parts)
        if (!ended.has(id) && process.stderr.isTTY !== true) terminal.note(toldOf(event))
        ended.add(id)
      }
      show()
    },
  }
}

/** One line of a run that has to wait. */
export const waitingOf = ({ cell, reason }: Extract<ExecutorEvent, { readonly kind: 'waiting' }>): string => `${cell.id}: waits: ${reason}`

/** One line of the queue itself. */
export const queueLine = ({ connected }: Extract<ExecutorEvent, { readonly kind: 'queue' }>): string =>
  connected ? 'Redis is there again' : 'Redis is gone: waiting for it; runs that are at work go on'

/** One line of a run that ended. */
export const toldOf = ({ cell, outcome }: Extract<ExecutorEvent, { readonly kind: 'ended' }>): string => {
  if (outcome.kind === 'stopped') return `${cell.id}: stopped`
  if (outcome.kind === 'failed') return `${cell.id}: failed`
  const scores = Object.entries(outcome.result.last.scores).map(([metric, score]) => `${metric} ${score.toFixed(3)}`)
  return `${cell.id}: ${outcome.reused ? 'kept' : duration(outcome.result.seconds)}, ${scores.join(', ')}`
}
