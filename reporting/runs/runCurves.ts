/** Curves and samples of a run, read from metrics.jsonl line by line: samples are what the model answered after each evaluation. Down-sampling on the way bounds the memory that a long run needs. */
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { fileInFolder, joinPath } from '../../accelerated/storage/paths.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { eachLine } from '../../finetuning/data/lineStream.js'
import { mostSamplePrompts } from '../../finetuning/run/samplePrompts.js'
import { escapeTextTo } from '../text/html.js'
import { downSampler, type Bucket, type DownSampler } from './downSample.js'

/** Fields of a step in metrics.jsonl that have a curve. */
export const curveNames = [
  'taskLoss',
  'density',
  'lambda',
  'orthogonality',
  'orthogonalityA',
  'orthogonalityB',
  'learningRate',
  'gradientNorm',
] as const
export type CurveName = (typeof curveNames)[number]

export type RunCurves = {
  readonly steps: Readonly<Record<CurveName, readonly Bucket[]>>
  /** scores of the evaluations, by metric */
  readonly scores: ReadonlyMap<string, readonly Bucket[]>
  readonly samples: readonly SampledStep[]
}

/** Maximum number of metrics in one run: no task has more than ten. */
const metricLimit = 100

/**
 * Reads the curves of a run up to step `last`, in buckets of `width` steps. A truncated last line is ignored.
 * @throws InputError if there is no metrics.jsonl, or a line is not an event of a run
 */
export const readRunCurves = async (folder: string, last: number, width: number, storage: Storage = nodeFiles): Promise<RunCurves> => {
  const file = joinPath(folder, 'metrics.jsonl')
  if ((await fileInFolder(folder, 'metrics.jsonl', storage)) === undefined) throw inputError(file, 'a line for each step', 'no file')
  const { onLine, curves } = curveCollector(() => downSampler(width), last)
  let invalidLine: Error | null = null
  const take = (row: number, bytes: Buffer): void => {
    if (invalidLine !== null) throw invalidLine // it was not the last line
    const where = `${file}, line ${row}`
    try {
      onLine(bytes, where)
    } catch (thrown) {
      if (!(thrown instanceof SyntaxError)) throw thrown
      invalidLine = inputError(where, 'an event of a run as JSON', reason(thrown))
    }
  }
  await eachLine(file, take, undefined, storage)
  return curves()
}

/**
 * Collects curves and samples from lines of metrics.jsonl. `onLine` throws a SyntaxError for a line that is not JSON,
 * and an InputError for a line that is not an event of a run.
 */
export const curveCollector = (newSampler: () => DownSampler, last: number) => {
  const steps = new Map(curveNames.map((name) => [name, newSampler()]))
  const scores = new Map<string, DownSampler>()
  const sampled = sampleCollector()
  return {
    onLine: (bytes: Buffer, where: string): void => {
      const event = objectIn(JSON.parse(bytes.toString()), where)
      const step = parseStep(event, last, where)
      if (event['kind'] === 'step') for (const name of curveNames) add(steps.get(name), step, event[name], `${where}, ${name}`)
      if (event['kind'] === 'samples') sampled.add(step, event['samples'], `${where}, samples`)
      if (event['kind'] !== 'evaluation') return
      for (const [name, value] of Object.entries(objectIn(event['scores'], `${where}, scores`))) {
        const curve = scores.get(name) ?? newSampler()
        scores.set(name, curve)
        add(curve, step, value, `${where}, score ${name}`)
      }
      if (scores.size > metricLimit) throw inputError(where, `at most ${metricLimit} metrics`, 'more')
    },
    curves: (): RunCurves => ({
      steps: Object.fromEntries(curveNames.map((name) => [name, steps.get(name)?.buckets() ?? []])) as RunCurves['steps'],
      scores: new Map([...scores].map(([name, curve]) => [name, curve.buckets()])),
      samples: sampled.samples(),
    }),
  }
}

type Fields = Readonly<Record<string, unknown>>

const objectIn = (value: unknown, where: string): Fields => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw inputError(where, 'an object', typeof value)
  return value as Fields
}

const parseStep = ({ step }: Fields, last: number, where: string): number => {
  if (typeof step !== 'number' || !Number.isInteger(step) || step < 0 || step > last)
    throw inputError(where, `a step from 0 to ${last}, the last step in result.json`, String(step).slice(0, 80))
  return step
}

/** JSON has null for NaN, and for values that the step did not measure. JSON.parse reads 1e999 as Infinity. */
const add = (curve: DownSampler | undefined, step: number, value: unknown, where: string): void => {
  if (value === undefined || value === null || value === Infinity || value === -Infinity) return
  if (typeof value !== 'number') throw inputError(where, 'a number', typeof value)
  curve?.add(step, value)
}

export type RunSample = { readonly prompt: string; readonly text: string }
export type SampledStep = { readonly step: number; readonly samples: readonly RunSample[] }

/** Steps that are kept of a run; the newest is always among them. */
export const sampledSteps = 100
const [promptLength, textLength] = [200, 500]
const [shownOfPrompt, shownOfText] = [escapeTextTo(promptLength), escapeTextTo(textLength)]

/** Collects samples from lines of metrics.jsonl. Of more steps than fit, it keeps every second one, again and again. */
export const sampleCollector = () => {
  let [kept, stride, seen]: [SampledStep[], number, number] = [[], 1, 0]
  let newest: SampledStep | null = null
  return {
    /** @throws InputError for a line that holds no samples */
    add: (step: number, samples: unknown, where: string): void => {
      newest = { step, samples: samplesIn(samples, where) }
      if (seen++ % stride !== 0) return
      kept.push(newest)
      if (kept.length <= sampledSteps) return
      stride *= 2
      kept = kept.filter((_, i) => i % 2 === 0)
    },
    samples: (): readonly SampledStep[] => (newest === null || kept.at(-1) === newest ? kept : [...kept, newest]),
  }
}

const samplesIn = (samples: unknown, where: string): readonly RunSample[] => {
  if (!Array.isArray(samples) || samples.length > mostSamplePrompts)
    throw inputError(
      where,
      `a list of at most ${mostSamplePrompts} samples`,
      Array.isArray(samples) ? String(samples.length) : typeof samples,
    )
  return samples.map((sample: unknown) => {
    const { prompt, text } = (typeof sample === 'object' && sample !== null ? sample : {}) as {
      readonly prompt?: unknown
      readonly text?: unknown
    }
    if (typeof text !== 'string') throw inputError(where, 'a text in each sample', typeof text)
    return { prompt: shownOfPrompt(promptText(prompt)), text: shownOfText(inOneLine(text)) }
  })
}

/** A prompt as text; of a conversation, its messages with their roles. */
const promptText = (prompt: unknown): string => {
  if (typeof prompt === 'string') return inOneLine(prompt)
  const messages: readonly unknown[] = Array.isArray(prompt) ? prompt : [prompt]
  return inOneLine(messages.map(messageText).join(' | '))
}

const messageText = (message: unknown): string => {
  const { role, content } = (typeof message === 'object' && message !== null ? message : {}) as {
    readonly role?: unknown
    readonly content?: unknown
  }
  return `${String(role)}: ${String(content)}`
}

const inOneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, ' ⏎ ')
