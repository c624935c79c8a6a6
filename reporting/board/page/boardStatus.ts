/** What every view shows about the board itself: a problem with the folder, and the queue of sweeps. */
import type { BoardState, QueueState } from '../events.js'
import { make, onChange, setText, textTable } from './elements.js'
import { numberText } from './format.js'

export const boardStatus = () => {
  const problem = make('p', { role: 'alert' })
  const queue = make('section', { hidden: true })
  const showQueue = onChange((state: QueueState | null) => {
    queue.hidden = state === null
    if (state !== null) queue.replaceChildren(...queueElements(state))
  })
  return {
    problem,
    queue,
    show: ({ board }: BoardState): void => {
      setText(problem, board?.problem ?? '')
      problem.hidden = !board?.problem
      showQueue(board?.queue ?? null)
    },
  }
}

const queueElements = (state: QueueState): ReadonlyArray<HTMLElement> => {
  const sweepRows = state.sweeps.map(({ folder, active, waiting, delayed, failed }) => [
    folder,
    ...[active, waiting, delayed, failed].map(numberText),
  ])
  const failures = state.failures.map(({ cell, reason }) => [cell, reason])
  return [
    make('h2', { textContent: 'Queue' }),
    make('p', { className: 'queue', textContent: state.problem ?? countsText(state) }),
    ...(sweepRows.length === 0 ? [] : [textTable('Queue by sweep', ['sweep', 'active', 'waiting', 'delayed', 'failed'], sweepRows)]),
    ...(failures.length === 0
      ? []
      : [
          make('details', {}, make('summary', { textContent: 'Newest failed jobs' }), textTable('Failed jobs', ['run', 'error'], failures)),
        ]),
  ]
}

const countsText = ({ address, counts, inspected }: QueueState): string => {
  const jobs = Object.entries(counts ?? {}).map(([kind, count]) => `${numberText(count)} ${kind}`)
  const limit = inspected === null ? '' : `. The table shows the first ${numberText(inspected)} jobs.`
  return `${address}: ${jobs.join(', ')}${limit}`
}
