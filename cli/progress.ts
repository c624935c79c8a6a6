/** A run's progress on standard error: a bar on a terminal, now and then a line on a pipe, warnings alone with --quiet. */
import cliProgress from 'cli-progress'
import type { FinetuneEvent } from '../evaluation/run.js'
import { counted, duration, short } from './numbers.js'
import { runClock } from './runClock.js'
import type { Terminal } from './terminal.js'
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
      if (event.kind !== 'step' && event.kind !== 'evaluating') return
      const isLast = event.kind === 'step' && event.step === clock.steps()
      if (!isLast && performance.now() - last < 1000 * secondsBetweenLines) return
      last = performance.now()
      note(
        `step ${event.step}/${clock.steps()}  ${event.kind === 'step' ? numbersOf(event) : evaluatingText(event)}  ${inWords(clock.left())} left`,
      )
    },
    close: () => undefined,
  }
}

/** Progress of work that is counted and whose parts take about as long as each other. */
export const countProgress = (
  what: string,
  total: number,
  terminal: Terminal,
): { readonly show: (done: number) => void; readonly close: () => void } => {
  const began = performance.now()
  const left = (done: number): string => inWords((((performance.now() - began) / 1000) * (total - done)) / done)
  if (terminal.quiet) return { show: () => undefined, close: () => undefined }
  if (process.stderr.isTTY === true) {
    const bar = new cliProgress.SingleBar(
      { ...barOptions, format: `${what} {bar} {value}/{total}  {left} left` },
      cliProgress.Presets.shades_classic,
    )
    bar.start(total, 0, { left: '…' })
    return { show: (done) => bar.update(done, { left: left(done) }), close: () => bar.stop() }
  }
  let last = began
  return {
    show: (done) => {
      if (done === total || performance.now() - last < 1000 * secondsBetweenLines) return
      last = performance.now()
      terminal.note(`${what}, ${counted(done)} of ${counted(total)}, ${left(done)} left`)
    },
    close: () => undefined,
  }
}

const barOptions = {
  stream: process.stderr,
  barsize: 20,
  fps: 5,
  hideCursor: null,
  barCompleteChar: '█',
  barIncompleteChar: '░',
  linewrap: false,
  clearOnComplete: false,
  emptyOnZero: true,
} as const

/** The bar stays the last line; what is said goes above it. */
const bar = (): Progress => {
  const clock = runClock()
  const bars = new cliProgress.MultiBar(
    { ...barOptions, format: '{phase} {bar} {value}/{total}  {numbers}  {left} left' },
    cliProgress.Presets.shades_classic,
  )
  let only: cliProgress.SingleBar | null = null
  let phase = 'training'
  const say = (line: string): void => {
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
      if (event.kind === 'start') phase = event.stage ?? phase
      if (event.kind === 'phase') phase = event.name
      const shown = { phase: phase.padEnd('training'.length), left: inWords(clock.left()) }
      if (event.kind === 'start') only = bars.create(event.steps, event.resumedAt, { ...shown, numbers: '', left: '…' })
      if (event.kind === 'step') only?.update(event.step, { ...shown, numbers: numbersOf(event) })
      if (event.kind === 'evaluating') only?.update({ ...shown, numbers: evaluatingText(event) })
      if (event.kind === 'phase') only?.update(shown)
    },
    close: () => bars.stop(),
  }
}

const columns = (methods as ReadonlyArray<Method>).flatMap((method) => method.columns ?? [])

/** Loss, the columns of the method, and the speed. */
const numbersOf = ({ taskLoss, columns: measured, tokensPerSecond }: Step): string =>
  [
    `loss ${short(taskLoss)}`,
    ...columns.flatMap(({ name, label, digits }) => {
      const value = measured[name] ?? null
      return value === null ? [] : [`${label} ${digits === 4 ? short(value) : value.toFixed(digits)}`]
    }),
    `${counted(tokensPerSecond)} tokens/s`,
  ].join('  ')

const evaluatingText = ({ done, examples }: Extract<FinetuneEvent, { readonly kind: 'evaluating' }>): string =>
  `evaluating, ${counted(done)} of ${counted(examples)} examples`

const inWords = (seconds: number | null): string => (seconds === null ? 'unknown time' : duration(seconds))

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
      return `${event.step === 0 ? 'before training' : `step ${event.step}`}: ${scoresText(event.scores)}${event.best ? ' (the best so far)' : ''}`
    case 'phase':
      return `step ${event.step}: ${event.line}`
    default:
      return null
  }
}

export const scoresText = (scores: Readonly<Record<string, number>>): string =>
  Object.entries(scores)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ')
