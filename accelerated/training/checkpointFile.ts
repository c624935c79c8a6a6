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
import type { BestState } from './train.js'

const stateSchema = z.strictObject({
  step: z.int().min(0), gatedStep: z.int().min(0), gating: z.enum(['open', 'sampled']),
  modules: z.array(z.strictObject({ name: z.string().max(500), d: z.int().min(1), k: z.int().min(1), r: z.int().min(1) })).max(100_000),
  initialDensity: z.number().nullable(),
  retained: z.strictObject({ expectedDensity: z.number(), retainedDensity: z.number(), ranks: z.record(z.string(), z.int().min(0)), lambda: z.number() }).nullable(),
})
const schema = z.strictObject({
  state: stateSchema,
  best: z.strictObject({ state: stateSchema, step: z.int().min(0), selection: z.number(), scores: z.record(z.string(), z.number()) }).nullable(),
})

export type Checkpoint = { readonly state: RunState; readonly best: BestState | null }

const kept = 2
const pattern = /^step-(\d{9})\.safetensors$/
const nameOf = (step: number): string => `step-${String(step).padStart(9, '0')}.safetensors`

const vectorsOf = (prefix: string, { parameters, firstMoment, secondMoment }: RunState): ReadonlyArray<readonly [string, WritableTensor]> =>
  [['parameters', parameters], ['firstMoment', firstMoment], ['secondMoment', secondMoment]].map(([name, data]) =>
    [`${prefix}.${name as string}`, { shape: [(data as Vector).length], data: data as Vector }] as const)

const described = ({ parameters: _p, firstMoment: _m, secondMoment: _v, ...rest }: RunState) => rest

/** Writes the checkpoint of a step beside the earlier ones and keeps the newest two. */
export const saveCheckpoint = async (folder: string, { state, best }: Checkpoint): Promise<string> => {
  await mkdir(folder, { recursive: true })
  const tensors = new Map([...vectorsOf('state', state), ...(best === null ? [] : vectorsOf('best', best.state))])
  const content = JSON.stringify({ state: described(state), best: best === null ? null : { ...best, state: described(best.state) } })
  const bytes = writeSafetensors(tensors, { content })
  const path = join(folder, nameOf(state.step))
  await writeFileAtomically(path, bytes)
  await writeFileAtomically(`${path}.sha256`, `${createHash('sha256').update(bytes).digest('hex')}\n`)
  const old = (await checkpointSteps(folder)).slice(0, -kept)
  for (const step of old) await Promise.all([unlink(join(folder, nameOf(step))), unlink(join(folder, `${nameOf(step)}.sha256`)).catch(() => undefined)])
  return path
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
      return await loadCheckpoint(path)
    } catch (error) {
      await rename(path, `${path}.damaged`)
      onDamaged(`${reason(error)}; set aside as ${path}.damaged`)
    }
  }
  return null
}

const loadCheckpoint = async (path: string): Promise<Checkpoint> => {
  const digest = (await readFile(`${path}.sha256`, 'utf8').catch(() => '')).trim()
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
  const { state, best } = parsed.data
  return {
    state: { ...state, ...await vectors('state') },
    best: best === null ? null : { ...best, state: { ...best.state, ...await vectors('best') } },
  }
}

const readFloat64 = async (path: string, offset: number, length: number): Promise<Float64Array> => {
  const bytes = await readFile(path)
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + length))
}
