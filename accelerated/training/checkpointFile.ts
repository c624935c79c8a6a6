/** Checkpoints: everything a run needs to go on, in one safetensors file, so that it is whole or absent. */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../checkpoint/atomicFile.js'
import { fileError, reason } from '../checkpoint/fileError.js'
import { readSafetensors, readTensor } from '../checkpoint/safetensors.js'
import type { WritableTensor } from '../checkpoint/writeSafetensors.js'
import { writeSafetensors } from '../checkpoint/writeSafetensors.js'
import type { Vector } from '../parameterVector.js'
import type { RunState } from './runState.js'
import type { Carried } from './trainingEvents.js'

const stateSchema = z.strictObject({
  step: z.int().min(0), gatedStep: z.int().min(0), gating: z.enum(['open', 'sampled']),
  modules: z.array(z.strictObject({ name: z.string().max(500), d: z.int().min(1), k: z.int().min(1), r: z.int().min(1) })).max(100_000),
  initialDensity: z.number().nullable(),
  retained: z.strictObject({ expectedDensity: z.number(), retainedDensity: z.number(), ranks: z.record(z.string(), z.int().min(0)), lambda: z.number() }).nullable(),
})
const numbers = z.record(z.string(), z.number())
const schema = z.strictObject({
  state: stateSchema,
  best: z.strictObject({ state: stateSchema, step: z.int().min(0), selection: z.number(), scores: numbers }).nullable(),
  lastEvaluation: z.strictObject({ step: z.int().min(0), scores: numbers }).nullable(),
  orthogonality: numbers,
  metricsLines: z.int().min(0),
})

export type Checkpoint = Carried & {
  readonly state: RunState
  /** lines of metrics.jsonl that belong to the run up to here: what follows them is done again */
  readonly metricsLines: number
}

const kept = 2
const pattern = /^step-(\d{9})\.safetensors$/
const nameOf = (step: number): string => `step-${String(step).padStart(9, '0')}.safetensors`

const vectorsOf = (prefix: string, { parameters, firstMoment, secondMoment }: RunState): ReadonlyArray<readonly [string, WritableTensor]> =>
  [['parameters', parameters], ['firstMoment', firstMoment], ['secondMoment', secondMoment]].map(([name, data]) =>
    [`${prefix}.${name as string}`, { shape: [(data as Vector).length], data: data as Vector }] as const)

const described = ({ parameters: _p, firstMoment: _m, secondMoment: _v, ...rest }: RunState) => rest

/**
 * Writes the checkpoint of a step beside the earlier ones and keeps the newest two. The checksum goes first: whenever the process dies, a
 * checkpoint that is there has its checksum, and at most a checksum is left over. Throws FileError; nothing of the new one is then left.
 */
export const saveCheckpoint = async (folder: string, { state, best, ...rest }: Checkpoint): Promise<string> => {
  await mkdir(folder, { recursive: true })
  const tensors = new Map([...vectorsOf('state', state), ...(best === null ? [] : vectorsOf('best', best.state))])
  const content = JSON.stringify({ state: described(state), best: best === null ? null : { ...best, state: described(best.state) }, ...rest })
  const bytes = writeSafetensors(tensors, { content })
  const path = join(folder, nameOf(state.step))
  await writeFileAtomically(checksumOf(path), `${createHash('sha256').update(bytes).digest('hex')}\n`)
  try {
    await writeFileAtomically(path, bytes)
  } catch (error) {
    await unlink(checksumOf(path)).catch(() => undefined)
    throw error
  }
  await tidy(folder)
  return path
}

const checksumOf = (path: string): string => `${path}.sha256`

/** Removes all but the newest two, and checksums of checkpoints that are not there. */
const tidy = async (folder: string): Promise<void> => {
  for (const step of (await checkpointSteps(folder)).slice(0, -kept)) await unlink(join(folder, nameOf(step)))
  const there = new Set((await checkpointSteps(folder)).map((step) => checksumOf(nameOf(step))))
  for (const name of await readdir(folder)) if (/^step-\d{9}\.safetensors\.sha256$/.test(name) && !there.has(name)) await unlink(join(folder, name))
}

/** The newest checkpoint's file and step, unread; null where there is none. */
export const lastCheckpoint = async (folder: string): Promise<{ readonly path: string; readonly step: number } | null> => {
  const step = (await checkpointSteps(folder)).at(-1)
  return step === undefined ? null : { path: join(folder, nameOf(step)), step }
}

/** Steps of the checkpoints in a folder, ascending; none where the folder is absent. */
export const checkpointSteps = async (folder: string): Promise<ReadonlyArray<number>> =>
  (await readdir(folder).catch(() => [])).flatMap((name) => {
    const step = pattern.exec(name)?.[1]
    return step === undefined ? [] : [Number(step)]
  }).sort((a, b) => a - b)

/** The newest checkpoint that is whole. One that is not is renamed to `….damaged` and reported through `onDamaged`. Null where there is none. */
export const newestCheckpoint = async (folder: string, onDamaged: (message: string) => void): Promise<Checkpoint | null> => {
  for (const step of [...await checkpointSteps(folder)].reverse()) {
    const path = join(folder, nameOf(step))
    try {
      const checkpoint = await loadCheckpoint(path)
      await tidy(folder) // which a kill may have kept the save from
      return checkpoint
    } catch (error) {
      await rename(path, `${path}.damaged`)
      onDamaged(`${reason(error)}; set aside as ${path}.damaged`)
    }
  }
  return null
}

const loadCheckpoint = async (path: string): Promise<Checkpoint> => {
  const digest = (await readFile(checksumOf(path), 'utf8').catch(() => '')).trim()
  const found = createHash('sha256').update(await readFile(path)).digest('hex')
  if (digest !== found) throw fileError(path, `the checksum ${digest === '' ? 'in its .sha256 file' : digest}`, digest === '' ? 'no such file' : found)
  const { tensors, metadata } = await readSafetensors(path)
  const parsed = schema.safeParse(JSON.parse(metadata['content'] ?? 'null'))
  if (!parsed.success) throw fileError(path, 'a checkpoint of this version', parsed.error.issues[0]?.message ?? 'another content')
  const vector = async (name: string): Promise<Vector> => {
    const entry = tensors.get(name)
    if (entry === undefined) throw fileError(path, `tensor ${name}`, 'none of that name')
    return entry.dtype === 'F64' ? readFloat64(path, entry.offset, entry.length) : readTensor(entry)
  }
  const vectors = async (prefix: string) => ({
    parameters: await vector(`${prefix}.parameters`), firstMoment: await vector(`${prefix}.firstMoment`), secondMoment: await vector(`${prefix}.secondMoment`),
  })
  const { state, best, ...rest } = parsed.data
  return {
    ...rest,
    state: { ...state, ...await vectors('state') },
    best: best === null ? null : { ...best, state: { ...best.state, ...await vectors('best') } },
  }
}

const readFloat64 = async (path: string, offset: number, length: number): Promise<Float64Array> => {
  const bytes = await readFile(path)
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + length))
}
