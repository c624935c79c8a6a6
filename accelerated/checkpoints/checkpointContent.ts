/** What a checkpoint contains, and the JSON in its header: everything but the vectors. */
import { z } from 'zod'
import { inputError } from '../errors/inputError.js'
import { validate } from '../errors/validate.js'
import type { RunProgress, RunState } from '../parameters/runState.js'
import { parseJson } from '../storage/json.js'
import type { Fingerprint } from './fingerprint.js'

export type Checkpoint = RunProgress & {
  readonly state: RunState
  /** lines of metrics.jsonl up to this step; a resumed run rewrites the later ones */
  readonly metricsLines: number
  /** what the run's numbers follow from; absent in checkpoints that older versions wrote */
  readonly fingerprint?: Fingerprint | undefined
}

/** Another number means that another version of salora wrote the checkpoint. */
const layoutVersion = 2

/** JSON has no infinite numbers, which a diverging run has: the perplexity of a loss above 709, for example. They are texts. */
const number = z.union([z.number(), z.literal(['Infinity', '-Infinity', 'NaN']).transform(Number)])
const withInfinities = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? String(value) : value

const numbers = z.record(z.string(), number)
const count = z.int().min(0)

/** A method validates its phases by a schema of its own. */
const schema = z.strictObject({
  layout: z.literal(layoutVersion),
  method: z.string().max(500),
  step: count,
  phase: z.unknown(),
  best: z.strictObject({ phase: z.unknown(), step: count, selection: number, scores: numbers }).nullable(),
  sinceBest: count.optional(),
  lastEvaluation: z.strictObject({ step: count, scores: numbers }).nullable(),
  byMatrix: z.record(z.string(), numbers),
  fingerprint: z.record(z.string(), z.unknown()).optional(),
  metricsLines: count,
})
export type CheckpointContent = z.infer<typeof schema>

export const checkpointContent = (method: string, { state, best, ...rest }: Checkpoint): string =>
  JSON.stringify(
    {
      layout: layoutVersion,
      method,
      step: state.step,
      phase: state.phase,
      best: best === null ? null : { phase: best.phase, step: best.step, selection: best.selection, scores: best.scores },
      ...rest,
    },
    withInfinities,
  )

/** @param text absent if the header has none @throws InputError for another layout, or content that is not a checkpoint's */
export const parseCheckpointContent = (text: string | undefined, path: string): CheckpointContent => {
  const json = parseJson(text ?? 'null', path)
  const layout = typeof json === 'object' && json !== null && 'layout' in json ? json.layout : 1
  if (layout !== layoutVersion)
    throw inputError(
      path,
      `a checkpoint of layout ${layoutVersion}, as this version of salora writes it`,
      `layout ${JSON.stringify(layout)}; resume with the version that wrote it, or start over`,
    )
  return validate(schema, json, path, 'a checkpoint of this version')
}
