/** A row of a table of sweeps. */
import { formatNumber } from '../../charts/formatNumber.js'
import type { RunStatus, SweepLine } from '../events.js'
import { make, setText } from './elements.js'
import { leftText, showProgress, showStatus } from './format.js'

export type SweepRow = { readonly element: HTMLTableRowElement; readonly show: (line: SweepLine) => void }

const counted = ['running', 'waiting', 'failed'] as const satisfies ReadonlyArray<RunStatus>
const headings = ['sweep', 'status', 'runs', 'time left', ...counted]

export const sweepTable = (body: HTMLTableSectionElement): HTMLTableElement => {
  const heads = headings.map((title, i) => make('th', { scope: 'col', textContent: title, className: i > 2 ? 'n' : '' }))
  return make('table', { className: 'list sweeps' }, make('thead', {}, make('tr', {}, ...heads)), body)
}

/** @param name shows the sweep's name */
export const newSweepRow = (name: HTMLElement): SweepRow => {
  const details = make('span', { className: 'why' })
  const status = make('span')
  const progress = make('td', { className: 'progress' })
  const left = make('td', { className: 'n', data: { label: 'time left' } })
  const counts = counted.map((kind) => ({ kind, cell: make('td', { className: 'n', data: { label: kind } }) }))
  const element = make(
    'tr',
    {},
    make('td', { className: 'name' }, name, details),
    make('td', {}, status),
    ...[progress, left, ...counts.map(({ cell }) => cell)],
  )
  return {
    element,
    show: (line) => {
      const stage = line.stage === 'grid' ? 'searching learning rates' : ''
      setText(details, [line.sweep, stage, line.problem ?? ''].filter((text) => text !== '').join(' · '))
      showStatus(status, statusOf(line))
      showProgress(progress, line.progress, `${formatNumber(line.counts.finished)} of ${formatNumber(line.cells)} finished`)
      setText(left, leftText(line.secondsLeft))
      for (const { kind, cell } of counts) setText(cell, formatNumber(line.counts[kind]))
    },
  }
}

const statusOf = ({ isRunning, cells, counts }: SweepLine): RunStatus => {
  if (isRunning) return 'running'
  if (cells > 0 && counts.finished === cells) return 'finished'
  return counts.running > 0 ? 'running' : 'interrupted'
}
