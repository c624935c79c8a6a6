/** metrics.jsonl of a run as curves: read line by line, down-sampled on the way, so that a long run takes no more memory than a short one. */
import { join } from 'node:path'
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { fileInFolder } from '../../accelerated/storage/fileInFolder.js'
import { eachLine } from '../../finetuning/data/lineStream.js'
import { downSampler, type Bucket, type DownSampler } from './downSample.js'

/** What a step has besides its number, as its columns in metrics.jsonl are called. */
export const curveNames = ['taskLoss', 'density', 'lambda', 'orthogonality', 'orthogonalityA', 'orthogonalityB'] as const
export type CurveName = (typeof curveNames)[number]

export type RunCurves = {
  readonly steps: Readonly<Record<CurveName, ReadonlyArray<Bucket>>>
  /** each evaluation's scores, by name */
  readonly scores: ReadonlyMap<string, ReadonlyArray<Bucket>>
}

/** Names of scores in one run: no task has more than ten. */
const scoreLimit = 100

/**
 * Curves of a run whose steps are at most `last`; a last line that was cut short, as by a full disk, does not count.
 * `width`: steps in a bucket. @throws Mistake: no metrics.jsonl, or a line that is no event of a run
 */
export const readRunCurves = async (folder: string, last: number, width: number): Promise<RunCurves> => {
  const file = join(folder, 'metrics.jsonl')
  if ((await fileInFolder(folder, 'metrics.jsonl')) === undefined) throw inputError(file, 'a line for each step', 'no such file')
  const { take, curves } = curveCollector(() => downSampler(width), last)
  let cut: Error | null = null
  await eachLine(file, (row, bytes) => {
    if (cut !== null) throw cut // it was not the last line
    const where = `${file}, line ${row}`
    try {
      take(bytes, where)
    } catch (thrown) {
      if (!(thrown instanceof SyntaxError)) throw thrown
      cut = inputError(where, 'an event of a run as JSON', reason(thrown))
    }
  })
  return curves()
}

/** Lines of metrics.jsonl → curves so far. `take` throws SyntaxError for what is no JSON, Mistake for a line that is no event of a run. */
export const curveCollector = (newSampler: () => DownSampler, last: number) => {
  const steps = new Map(curveNames.map((name) => [name, newSampler()]))
  const scores = new Map<string, DownSampler>()
  return {
    take: (bytes: Buffer, where: string): void => {
      const event = eventIn(bytes, where)
      const step = stepOf(event, last, where)
      if (event['kind'] === 'step') for (const name of curveNames) add(steps.get(name), step, event[name], `${where}, ${name}`)
      if (event['kind'] !== 'evaluation') return
      for (const [name, value] of Object.entries(objectIn(event['scores'], `${where}, scores`))) {
        const curve = scores.get(name) ?? newSampler()
        scores.set(name, curve)
        add(curve, step, value, `${where}, score ${name}`)
      }
      if (scores.size > scoreLimit) throw inputError(where, `at most ${scoreLimit} names of scores`, 'more')
    },
    curves: (): RunCurves => ({
      steps: Object.fromEntries(curveNames.map((name) => [name, steps.get(name)?.buckets() ?? []])) as RunCurves['steps'],
      scores: new Map([...scores].map(([name, curve]) => [name, curve.buckets()])),
    }),
  }
}

type Fields = Readonly<Record<string, unknown>>

const eventIn = (bytes: Buffer, where: string): Fields => objectIn(JSON.parse(bytes.toString()), where)

const objectIn = (value: unknown, where: string): Fields => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw inputError(where, 'an object', typeof value)
  return value as Fields
}

const stepOf = ({ step }: Fields, last: number, where: string): number => {
  if (typeof step !== 'number' || !Number.isInteger(step) || step < 0 || step > last)
    throw inputError(where, `a step from 0 to ${last}, as result.json has`, String(step).slice(0, 80))
  return step
}

/** null is what JSON has for a number that is none, and for what the step did not measure. */
const add = (curve: DownSampler | undefined, step: number, value: unknown, where: string): void => {
  if (value === undefined || value === null || value === Infinity || value === -Infinity) return // JSON.parse makes 1e999 infinite
  if (typeof value !== 'number') throw inputError(where, 'a number', typeof value)
  curve?.add(step, value)
}
