/** Numbers, durations, steps and scores as texts, and cells that show them. */
import { formatNumber } from '../../charts/formatNumber.js'
import { durationText, scoreText as scoreInUnits } from '../../charts/humanUnits.js'
import type { RunLine, RunStatus } from '../events.js'
import { make, setText } from './elements.js'

export const numberText = (value: number | null | undefined): string => (value === null || value === undefined ? '' : formatNumber(value))

/** Shows six digits, and all digits in the tooltip. */
export const showNumber = (element: HTMLElement, value: number | null): void => {
  setText(element, numberText(value))
  element.title = value === null ? '' : String(value)
}

/** The time left; an estimate has whole seconds. */
export const leftText = (seconds: number | null): string => (seconds === null ? '' : durationText(Math.round(seconds)))

export const progressOf = ({ step, steps }: Pick<RunLine, 'step' | 'steps'>): number =>
  steps === null || steps === 0 ? 0 : Math.min(1, step / steps)

export const stepsText = ({ step, steps }: Pick<RunLine, 'step' | 'steps'>): string =>
  step === 0 && !steps ? '' : `${formatNumber(step)} of ${steps ? formatNumber(steps) : '?'}`

export const scoreText = (score: RunLine['score']): string =>
  score === null ? '' : `${score.metric} ${scoreInUnits(score.metric, score.value)}${score.evaluation === 'last' ? ' (last)' : ''}`

export const showStatus = (element: HTMLElement, status: RunStatus): void => {
  setText(element, status)
  element.className = `run-status ${status}`
}

export const showProgress = (cell: HTMLElement, progress: number, text: string): void => {
  const bar = cell.querySelector('progress') ?? make('progress', { max: 1, value: 0, ariaLabel: 'progress' })
  const label = cell.querySelector('span') ?? make('span')
  if (bar.parentElement === null) cell.append(bar, label)
  if (bar.value !== progress) bar.value = progress
  setText(label, text)
}
