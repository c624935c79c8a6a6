/**
 * Checkpoints of a run: everything it needs to resume, in one safetensors file that is whole or absent. Data order, dropout and gate noise are
 * functions of the seed and the step (parameters/random.ts), so the step is the only counter to save.
 */
import { namedVectors } from '../parameters/vectors.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import { joinPath } from '../storage/paths.js'
import { sha256 } from '../storage/native.js'
import type { Storage } from '../storage/storage.js'
import { safetensorsChunks, type WritableTensor } from './safetensors/writeSafetensors.js'
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

const checkpointContent = (method: string, { state, best, ...rest }: Checkpoint): string =>
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

const maxCheckpoints = 2

/** The name of a step's file. */
export const checkpointFileName = (step: number): string => `step-${String(step).padStart(9, '0')}.safetensors`

export const checksumFile = (file: string): string => `${file}.sha256`

const collectVectors = ({ state, best }: Checkpoint): ReadonlyMap<string, WritableTensor> =>
  new Map(
    [...Object.entries(namedVectors(state)), ...(best === null ? [] : [['best', best.parameters] as const])].map(([name, data]) => [
      name,
      { shape: [data.length], data },
    ]),
  )

/**
 * Writes the checkpoint of a step and keeps the newest two. The checksum is written first: whenever the process dies, every checkpoint has its
 * checksum, and at most one checksum has no checkpoint. → the path of the checkpoint
 * @throws InputError, and removes what it has written
 */
export const saveCheckpoint = async (
  folder: string,
  method: string,
  checkpoint: Checkpoint,
  storage: Storage = nodeFiles,
): Promise<string> => {
  await storage.makeFolder(folder, { recursive: true })
  const chunks = safetensorsChunks(collectVectors(checkpoint), { content: checkpointContent(method, checkpoint) })
  const path = joinPath(folder, checkpointFileName(checkpoint.state.step))
  const hash = sha256()
  for (const chunk of chunks) hash.update(chunk)
  await storage.write(checksumFile(path), `${hash.hex()}\n`)
  try {
    await storage.write(path, chunks)
  } catch (error) {
    await storage.remove(checksumFile(path)).catch(() => undefined)
    throw error
  }
  await removeOldCheckpoints(folder, storage)
  return path
}

/** Keeps the newest two, and removes checksums without a checkpoint. A killed process may not have got to it. */
export const removeOldCheckpoints = async (folder: string, storage: Storage = nodeFiles): Promise<void> => {
  for (const step of (await checkpointSteps(folder, storage)).slice(0, -maxCheckpoints))
    await storage.remove(joinPath(folder, checkpointFileName(step)))
  const checksums = new Set((await checkpointSteps(folder, storage)).map((step) => checksumFile(checkpointFileName(step))))
  for (const name of await storage.list(folder))
    if (/^step-\d{9}\.safetensors\.sha256$/.test(name) && !checksums.has(name)) await storage.remove(joinPath(folder, name))
}

/** The newest checkpoint's path and step, without reading it; null if there is none. @throws InputError */
export const lastCheckpoint = async (
  folder: string,
  storage: Storage = nodeFiles,
): Promise<{ readonly path: string; readonly step: number } | null> => {
  const step = (await checkpointSteps(folder, storage)).at(-1)
  return step === undefined ? null : { path: joinPath(folder, checkpointFileName(step)), step }
}

/** The steps of the checkpoints in a folder, ascending; none if the folder is absent. @throws InputError if it cannot be read */
export const checkpointSteps = async (folder: string, storage: Storage = nodeFiles): Promise<readonly number[]> =>
  (await storage.list(folder))
    .flatMap((name) => {
      const step = /^step-(\d{9})\.safetensors$/.exec(name)?.[1]
      return step === undefined ? [] : [Number(step)]
    })
    .sort((a, b) => a - b)
