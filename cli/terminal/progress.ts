/** A run's progress on standard error: a bar on a terminal, a line every ten seconds on a pipe, only warnings with --quiet. */
import cliProgress from 'cli-progress'
import type { Calibration, FinetuneEvent, RunFacts } from '../../finetuning/run/run.js'
import { estimateLine, estimateWarning } from '../format/estimate.js'
import { reportLines } from '../format/inspection.js'
import { counted, duration, plural, short } from '../format/numbers.js'
import { placementLine, placementWarns } from '../../finetuning/run/devicePlacement.js'
import type { QueueEvent } from '../../finetuning/machines/leaderEvents.js'
import { etaEstimator } from './eta.js'
import { layOut, printable, type Terminal } from './output.js'
import { methods } from '../../accelerated/methods/index.js'
import type { Method } from '../../accelerated/methods/method.js'
import { oneLine } from '../../accelerated/errors/inputError.js'
import type { Sample } from '../../accelerated/training/events.js'

export type Progress = {
  readonly show: (event: FinetuneEvent) => void
  readonly print: (line: string) => void
  readonly close: () => void
}

type Step = Extract<FinetuneEvent, { readonly kind: 'step' }>

export const openProgress = (terminal: Terminal): Progress => (!terminal.quiet && process.stderr.isTTY === true ? bar() : lines(terminal))

const secondsBetweenLines = 10

const lines = ({ note, warn }: Terminal): Progress => {
  const eta = etaEstimator()
  const eventLine = eventLines()
  let last = -Infinity
  let machines = ''
  return {
    print: note,
    show: (event) => {
      if (event.kind === 'workers') machines = workersText(event)
      const warning = findWarning(event)
      if (warning !== null) return warn(warning)
      eta.observe(event)
      const line = eventLine(event)
      if (line !== null) {
        note(line)
        return compilesNext(event, eta.steps()) ? note(compiling) : undefined
      }
      if (event.kind !== 'step' && event.kind !== 'evaluating' && event.kind !== 'sampling') return
      const isLast = event.kind === 'step' && event.step === eta.steps()
      if (!isLast && performance.now() - last < 1000 * secondsBetweenLines) return
      last = performance.now()
      const numbers =
        event.kind === 'step' ? formatStep(event).join('  ') : event.kind === 'evaluating' ? evaluatingText(event) : samplingText(event)
      note([`step ${event.step}/${eta.steps()}`, numbers, ...leftText(eta.left()), machines].filter((text) => text !== '').join('  '))
    },
    close: () => undefined,
  }
}

/** Progress of countable work whose parts take about equally long. */
export const countProgress = (
  what: string,
  total: number,
  terminal: Terminal,
): { readonly show: (done: number) => void; readonly close: () => void } => {
  const began = performance.now()
  const left = (done: number): string => duration((((performance.now() - began) / 1000) * (total - done)) / done)
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

/** The bar stays the last line; other lines are printed above it. What is being prepared is one line, until the next one replaces it. */
const bar = (): Progress => {
  const eta = etaEstimator()
  const bars = new cliProgress.MultiBar(
    {
      ...barOptions,
      format: (_options, { value, total }, shown: Pick<Bar, 'phase' | 'numbers' | 'left'>) =>
        barLine({ ...shown, step: value, steps: total }, (process.stderr.columns || 80) - 1),
      linewrap: true, // without it, lines above the bar are cut at the terminal's width
    },
    cliProgress.Presets.shades_classic,
  )
  let only: cliProgress.SingleBar | null = null
  let phase = 'training'
  let machines: readonly string[] = []
  let isPreparing = false
  const print = (text: string, kind?: 'warning' | 'best'): void => {
    clear()
    const line = layOut(text, kind)
    if (only === null) process.stderr.write(`${line}\n`)
    else bars.log(`${line}\n`)
  }
  const clear = (): void => {
    if (isPreparing) process.stderr.write('\r\u001b[K')
    isPreparing = false
  }
  const prepare = (what: string): void => {
    clear()
    process.stderr.write(printable(what).slice(0, (process.stderr.columns || 80) - 1))
    isPreparing = true
  }
  const [evaluations, eventLine] = [evaluationTable(), eventLines()]
  return {
    print: (line) => print(line),
    show: (event) => {
      eta.observe(event)
      const warning = findWarning(event)
      if (warning !== null) return print(`warning: ${warning}`, 'warning')
      if (event.kind === 'preparing' && only === null) return prepare(`${event.what} …`)
      if (event.kind === 'evaluation') for (const line of evaluations(event)) print(line, event.best ? 'best' : undefined)
      const line = event.kind === 'evaluation' ? null : eventLine(event)
      if (line !== null) print(line)
      if (event.kind === 'start') phase = event.stage ?? phase
      if (event.kind === 'phase') phase = event.name
      const shown = { phase: phase.padEnd('training'.length), left: eta.left() }
      if (event.kind === 'start') only = bars.create(event.steps, event.resumedAt, { ...shown, numbers: [compiling] })
      if (event.kind === 'workers') machines = [workersText(event)]
      if (event.kind === 'step') only?.update(event.step, { ...shown, numbers: [...formatStep(event), ...machines] })
      if (event.kind === 'evaluating') only?.update({ ...shown, numbers: [evaluatingText(event)] })
      if (event.kind === 'sampling') only?.update({ ...shown, numbers: [samplingText(event)] })
      if (event.kind === 'phase') only?.update(compilesNext(event, eta.steps()) ? { ...shown, numbers: [compiling] } : shown)
    },
    close: () => {
      clear()
      bars.stop()
    },
  }
}

type Evaluation = Extract<FinetuneEvent, { readonly kind: 'evaluation' }>

/** The lines of an evaluation: a row of a table, and its head before the first one, or where the scores have other names. */
export const evaluationTable = (): ((evaluation: Evaluation) => readonly string[]) => {
  let shown = ''
  return (evaluation) => {
    const names = Object.keys(evaluation.scores)
    const widths = names.map((name) => Math.max(name.length, '12.0000'.length) + 2)
    const head = `  step${names.map((name, i) => name.padStart(widths[i] ?? 0)).join('')}`
    const row =
      String(evaluation.step || 'start').padStart(6) +
      Object.values(evaluation.scores)
        .map((score, i) => score.toFixed(4).padStart(widths[i] ?? 0))
        .join('')
    const lines = [...(head === shown ? [] : [head]), row + standing(evaluation)]
    shown = head
    return lines
  }
}

const compiling = 'compiling the training graph …'

/** Whether the next step waits for its graph: each phase has one of its own. */
const compilesNext = (event: FinetuneEvent, steps: number): boolean =>
  event.kind === 'start' || (event.kind === 'phase' && event.step < steps)

const columns = (methods as readonly Method[]).flatMap((method) => method.reporting?.columns ?? [])

/**
 * The task's loss by its name in metrics.jsonl, the columns of the method, and the speed. The most important come first. The whole loss is left
 * out: SaLoRA's constraint adds hundreds to it, which looks like divergence.
 */
export const formatStep = ({ taskLoss, columns: measured, tokensPerSecond }: Step): readonly string[] => [
  `taskLoss ${short(taskLoss)}`,
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
  readonly numbers: readonly string[]
  /** seconds; null while they cannot be estimated */
  readonly left: number | null
}

const [longestBar, shortestBar] = [20, 6]

/** The bar in one line of at most `width` columns: it shrinks, then the least important numbers go. The time left stays. */
export const barLine = ({ phase, step, steps, numbers, left }: Bar, width: number): string => {
  const line = (size: number, shown: readonly string[]): string => {
    const done = Math.round((size * step) / Math.max(1, steps))
    return [`${phase} ${'█'.repeat(done)}${'░'.repeat(size - done)} ${step}/${steps}`, ...leftText(left), ...shown].join('  ')
  }
  const size = Math.min(longestBar, Math.max(shortestBar, longestBar + width - line(longestBar, numbers).length))
  const fitting = numbers.findLastIndex((_, last) => line(size, numbers.slice(0, last + 1)).length <= width)
  return line(size, numbers.slice(0, fitting + 1)).slice(0, Math.max(0, width))
}

const evaluatingText = ({ done, examples }: Extract<FinetuneEvent, { readonly kind: 'evaluating' }>): string =>
  `evaluating, ${counted(done)} of ${counted(examples)} examples`

const samplingText = ({ done }: Extract<FinetuneEvent, { readonly kind: 'sampling' }>): string => `sampling, ${counted(done)} texts done`

/** The machines at work on a run: `3 workers, 12 parts/s, slowest 0.31 s a part (process 7 on host)`. */
export const workersText = ({ workers, partsPerSecond, slowest }: Extract<FinetuneEvent, { readonly kind: 'workers' }>): string =>
  `${plural(workers, 'worker')}, ${short(partsPerSecond)} parts/s` +
  (slowest === null ? '' : `, slowest ${short(slowest.seconds)} s a part (${slowest.worker})`)

const leftText = (seconds: number | null): readonly string[] => (seconds === null ? [] : [`${duration(seconds)} left`])

/** A warning of the run, of too little memory, or of nodes that are not on the device; null for other events. */
const findWarning = (event: FinetuneEvent): string | null => {
  if (event.kind === 'warning') return event.message
  if (event.kind === 'estimate') return estimateWarning(event)
  return event.kind === 'placement' && placementWarns(event) ? placementLine(event) : null
}

/** The lines of a run's events: the estimate of memory begins the line of the first steps, so that four lines precede them. */
const eventLines = (): ((event: FinetuneEvent) => string | null) => {
  let estimate: readonly string[] = []
  return (event) => {
    if (event.kind === 'estimate') {
      estimate = [estimateLine(event)]
      return null
    }
    const line = formatEvent(event)
    if (event.kind !== 'start' || line === null) return line
    const whole = [...estimate, line].join('; ')
    estimate = []
    return whole
  }
}

const formatEvent = (event: FinetuneEvent): string | null => {
  switch (event.kind) {
    case 'preparing':
      return `${event.what} …`
    case 'data':
      return reportLines(event).join('\n')
    case 'ready':
      return (
        `${counted(event.examples.training)} training examples, ${evaluatedOn(event)}, on ${event.device}; ` +
        `trainable parameters: ${Object.entries(event.trainableParameters)
          .map(([part, count]) => `${counted(count)} in the ${part}`)
          .join(', ')}`
      )
    case 'placement':
      return placementLine(event)
    case 'start':
      return (
        `${event.resumedAt > 0 ? `resuming after step ${event.resumedAt} of ${event.steps}` : `${event.steps} steps`}, ${event.stepsPerEpoch} per epoch` +
        (event.chosenEpochs === null ? '' : ` (${event.chosenEpochs} epochs; change them with --epochs)`) +
        (event.announcement === null ? '' : `; ${event.announcement}`)
      )
    case 'tracking':
      return `${event.tracker}: ${event.url}`
    case 'evaluation':
      return `${event.step === 0 ? 'before training' : `step ${event.step}`}: ${scoresText(event.scores)}${standing(event)}`
    case 'samples':
      return samplesText(event.samples)
    case 'calibration':
      return calibrationText(event)
    case 'test':
      return `test data, step ${event.step}: ${scoresText(event.scores)}`
    case 'phase':
      return `step ${event.step}: ${event.line}`
    case 'queue':
      return queueLine(event)
    default:
      return null
  }
}

const evaluatedOn = ({ folds, examples: { evaluation } }: RunFacts): string => {
  if (folds !== undefined) return `evaluated by ${folds} folds`
  return evaluation === 0 ? 'none held out' : `${counted(evaluation)} evaluation examples`
}

/** Whether this evaluation's adapter is the best; before pruning, none can be saved. */
const standing = ({ step, best, eligible }: Evaluation): string => {
  if (best) return ' (best so far)'
  return eligible || step === 0 ? '' : ' (too early to save)'
}

const calibrationText = ({ temperature, rows, errorBefore, errorAfter }: Calibration): string =>
  `calibrated on ${counted(rows)} rows: logits divided by ${temperature.toFixed(2)}, expected calibration error ${errorBefore.toFixed(3)} → ${errorAfter.toFixed(3)}`

export const scoresText = (scores: Readonly<Record<string, number>>): string =>
  Object.entries(scores)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ')

/** One line for an outage, one for its end, and one for refused commands. */
export const queueLine = ({ connected, refusal }: Pick<QueueEvent, 'connected' | 'refusal'>): string => {
  if (refusal !== undefined) return `Redis refuses commands: retrying; running runs continue (${refusal})`
  return connected ? 'Redis is reachable again' : 'Redis is unreachable: retrying; running runs continue'
}

// Samples on the terminal: a line each, with the end of the prompt and the beginning of the text. All of them are in metrics.jsonl.
const [shownSamples, promptLength, textLength] = [4, 30, 80]

export const samplesText = (samples: readonly Sample[]): string => {
  const lines = samples.slice(0, shownSamples).map(({ prompt, text }) => `  ${showEnd(promptText(prompt))} → ${showStart(text)}`)
  const more = samples.length - shownSamples
  return [...lines, ...(more > 0 ? [`  and ${more} more in metrics.jsonl`] : [])].join('\n')
}

/** The text of a prompt; of a conversation, that of its last message. */
const promptText = (prompt: unknown): string => {
  const last: unknown = Array.isArray(prompt) ? prompt.at(-1) : prompt
  return typeof last === 'object' && last !== null && 'content' in last ? String(last.content) : String(last)
}

const characters = (text: string): readonly string[] => Array.from(oneLine(text.trim().replace(/\s+/g, ' ')))

const showEnd = (text: string): string => {
  const all = characters(text)
  return all.length > promptLength ? `…${all.slice(1 - promptLength).join('')}` : all.join('')
}

const showStart = (text: string): string => {
  const all = characters(text)
  if (all.length === 0) return '(nothing)'
  return all.length > textLength ? `${all.slice(0, textLength - 1).join('')}…` : all.join('')
}
