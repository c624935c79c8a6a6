/** A run's progress on standard error: a bar on a terminal, now and then a line on a pipe, warnings alone with --quiet. */
import cliProgress from 'cli-progress'
import type { FinetuneEvent } from '../evaluation/run.js'
import { counted, duration, short } from './numbers.js'
import { printable, type Terminal } from './terminal.js'
import { methods } from '../accelerated/methods/index.js'
import type { Method } from '../accelerated/methods/method.js'

export type Progress = {
  readonly show: (event: FinetuneEvent) => void
  readonly say: (line: string) => void
  readonly close: () => void
}

type Step = Extract<FinetuneEvent, { readonly kind: 'step' }>

export const openProgress = (terminal: Terminal): Progress => (!terminal.quiet && process.stderr.isTTY === true ? bar() : lines(terminal))

const secondsBetweenLines = 10

const lines = ({ note, warn }: Terminal): Progress => {
  const clock = runClock()
  let last = -Infinity
  return {
    say: note,
    show: (event) => {
      if (event.kind === 'warning') return warn(event.message)
      clock.see(event)
      const told = toldBy(event)
      if (told !== null) return note(told)
      const isDue = event.kind === 'step' && (event.step === clock.steps() || performance.now() - last > 1000 * secondsBetweenLines)
      if (event.kind !== 'step' || !isDue) return
      last = performance.now()
      note(`step ${event.step}/${clock.steps()}  ${numbersOf(event).join('  ')}  ${clock.left(event.step)} left`)
    },
    close: () => undefined,
  }
}

/** The bar stays the last line; what is said goes above it. */
const bar = (): Progress => {
  const clock = runClock()
  const bars = new cliProgress.MultiBar(
    {
      stream: process.stderr,
      format: (_options, { value, total }, shown: Pick<Bar, 'phase' | 'numbers' | 'left'>) =>
        barLine({ ...shown, step: value, steps: total }, (process.stderr.columns || 80) - 1),
      fps: 5,
      hideCursor: null,
      linewrap: true, // what is said above the bar would be cut at the terminal's width
      clearOnComplete: false,
      emptyOnZero: true,
    },
    cliProgress.Presets.shades_classic,
  )
  let only: cliProgress.SingleBar | null = null
  const say = (text: string): void => {
    const line = printable(text)
    if (only === null) process.stderr.write(`${line}\n`)
    else bars.log(`${line}\n`)
  }
  return {
    say,
    show: (event) => {
      clock.see(event)
      if (event.kind === 'warning') return say(`warning: ${event.message}`)
      const told = toldBy(event)
      if (told !== null) say(told)
      if (event.kind === 'start') only = bars.create(event.steps, event.resumedAt, { phase: clock.phase(), numbers: [], left: '…' })
      if (event.kind === 'step') only?.update(event.step, { phase: clock.phase(), numbers: numbersOf(event), left: clock.left(event.step) })
      if (event.kind === 'phase') only?.update({ phase: clock.phase() })
    },
    close: () => bars.stop(),
  }
}

const columns = (methods as ReadonlyArray<Method>).flatMap((method) => method.columns ?? [])

/**
 * Both losses by the names of metrics.jsonl (the task's alone where the method adds nothing to it), the columns of the method, and the speed:
 * the most important first.
 */
export const numbersOf = ({ loss, taskLoss, columns: measured, tokensPerSecond }: Step): ReadonlyArray<string> => [
  `taskLoss ${short(taskLoss)}`,
  ...(loss === taskLoss ? [] : [`loss ${short(loss)}`]),
  ...columns.flatMap(({ name, label, digits }) => {
    const value = measured[name] ?? null
    return value === null ? [] : [`${label} ${digits === 4 ? short(value) : value.toFixed(digits)}`]
  }),
  `${counted(tokensPerSecond)} tokens/s`,
]

export type Bar = {
  readonly phase: string
  readonly step: number
  readonly steps: number
  readonly numbers: ReadonlyArray<string>
  readonly left: string
}

const [longestBar, shortestBar] = [20, 6]

/** The bar in one line of at most `width` columns: it shrinks, then the least important numbers go, so that the time left is always seen. */
export const barLine = ({ phase, step, steps, numbers, left }: Bar, width: number): string => {
  const line = (size: number, shown: ReadonlyArray<string>): string => {
    const done = Math.round((size * step) / Math.max(1, steps))
    return [`${phase} ${'█'.repeat(done)}${'░'.repeat(size - done)} ${step}/${steps}`, `${left} left`, ...shown].join('  ')
  }
  const size = Math.min(longestBar, Math.max(shortestBar, longestBar + width - line(longestBar, numbers).length))
  const fitting = numbers.findLastIndex((_, last) => line(size, numbers.slice(0, last + 1)).length <= width)
  return line(size, numbers.slice(0, fitting + 1)).slice(0, Math.max(0, width))
}

/** The line that an event is worth wherever it is shown; null where it is none. */
const toldBy = (event: FinetuneEvent): string | null => {
  switch (event.kind) {
    case 'preparing':
      return `${event.what} …`
    case 'ready':
      return (
        `${counted(event.examples.training)} examples to train on, ${counted(event.examples.evaluation)} to evaluate on, on ${event.device}; ` +
        `trainable parameters: ${Object.entries(event.trainableParameters)
          .map(([part, count]) => `${counted(count)} in the ${part}`)
          .join(', ')}`
      )
    case 'start':
      return (
        `${event.resumedAt > 0 ? `going on after step ${event.resumedAt} of ${event.steps}` : `${event.steps} steps`}, ${event.stepsPerEpoch} an epoch` +
        (event.announced === null ? '' : `; ${event.announced}`)
      )
    case 'evaluation':
      return `${event.step === 0 ? 'before training' : `step ${event.step}`}: ${scoresText(event.scores)}${standing(event)}`
    case 'phase':
      return `step ${event.step}: ${event.line}`
    default:
      return null
  }
}

/** Whether the adapter of this evaluation is the one to be kept; one that scores more may come too early, with gates still open. */
const standing = ({ step, best, eligible }: Extract<FinetuneEvent, { readonly kind: 'evaluation' }>): string => {
  if (best) return ' (the best to keep so far)'
  return eligible || step === 0 ? '' : ' (too early to keep)'
}

export const scoresText = (scores: Readonly<Record<string, number>>): string =>
  Object.entries(scores)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ')

type RunClock = {
  readonly see: (event: FinetuneEvent) => void
  readonly steps: () => number
  /** time left, in words; unknown after a single step, which also compiles the graph */
  readonly left: (step: number) => string
  /** the method's phase, or training */
  readonly phase: () => string
}

/** What progress remembers of a run: its length, its beginning, its phase. */
const runClock = (): RunClock => {
  let [steps, phase] = [0, 'training']
  let first: { readonly step: number; readonly at: number } | null = null
  return {
    see: (event) => {
      if (event.kind === 'start') [steps, phase] = [event.steps, event.stage ?? 'training']
      if (event.kind === 'phase') phase = event.name
      if (event.kind === 'step') first ??= { step: event.step, at: performance.now() }
    },
    steps: () => steps,
    left: (step) =>
      first === null || step === first.step
        ? 'unknown time'
        : duration(((performance.now() - first.at) / 1000 / (step - first.step)) * (steps - step)),
    phase: () => phase.padEnd('training'.length),
  }
}
