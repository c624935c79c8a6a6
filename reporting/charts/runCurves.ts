/** Curves and samples of a run, read from metrics.jsonl line by line. Down-sampling on the way bounds the memory that a long run needs. */
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { fileInFolder, joinPath } from '../../accelerated/storage/paths.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { eachLine } from '../../finetuning/data/lineStream.js'
import { downSampler, type Bucket, type DownSampler } from './downSample.js'
import { sampleCollector, type SampledStep } from './samples.js'

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
  readonly steps: Readonly<Record<CurveName, ReadonlyArray<Bucket>>>
  /** scores of the evaluations, by metric */
  readonly scores: ReadonlyMap<string, ReadonlyArray<Bucket>>
}

export type RunSamples = { readonly samples: ReadonlyArray<SampledStep> }

/** Maximum number of metrics in one run: no task has more than ten. */
const metricLimit = 100

/**
 * Reads the curves of a run up to step `last`, in buckets of `width` steps. A truncated last line is ignored.
 * @throws InputError if there is no metrics.jsonl, or a line is not an event of a run
 */
export const readRunCurves = async (
  folder: string,
  last: number,
  width: number,
  storage: Storage = nodeFiles,
): Promise<RunCurves & RunSamples> => {
  const file = joinPath(folder, 'metrics.jsonl')
  if ((await fileInFolder(folder, 'metrics.jsonl', storage)) === undefined) throw inputError(file, 'a line for each step', 'no file')
  const { onLine, curves, samples } = curveCollector(() => downSampler(width), last)
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
  return { ...curves(), samples: samples() }
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
      const step = stepOf(event, last, where)
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
    samples: sampled.samples,
    curves: (): RunCurves => ({
      steps: Object.fromEntries(curveNames.map((name) => [name, steps.get(name)?.buckets() ?? []])) as RunCurves['steps'],
      scores: new Map([...scores].map(([name, curve]) => [name, curve.buckets()])),
    }),
  }
}

type Fields = Readonly<Record<string, unknown>>

const objectIn = (value: unknown, where: string): Fields => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw inputError(where, 'an object', typeof value)
  return value as Fields
}

const stepOf = ({ step }: Fields, last: number, where: string): number => {
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
