/**
 * Checkpoints: everything a run needs to go on, in one safetensors file, so that it is whole or absent. Data order, dropout and gate noise are
 * functions of the seed and of a step's number (random.ts): the numbers of steps are their counters.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../files/atomicFile.js'
import { fileError, reason } from '../files/fileError.js'
import { parseJson, readText } from '../files/jsonText.js'
import { readBytes, withRegularFile } from '../files/regularFile.js'
import { headerLimit, readExactly, readSafetensors } from '../files/safetensors/safetensors.js'
import { fileInFolder } from '../files/safetensors/weightFiles.js'
import type { WritableTensor } from '../files/safetensors/writeSafetensors.js'
import { writeSafetensors } from '../files/safetensors/writeSafetensors.js'
import type { Vector } from './parameterVector.js'
import type { RunOutline } from './runOutline.js'
import { largestVector, misfitOf } from './runOutline.js'
import type { RunState, Vectors } from './runState.js'
import { layoutOf } from './runState.js'
import type { Carried } from './trainingEvents.js'

const stateSchema = z.strictObject({
  step: z.int().min(0),
  gatedStep: z.int().min(0),
  gating: z.enum(['open', 'sampled']),
  modules: z.array(z.strictObject({ name: z.string().max(500), d: z.int().min(1), k: z.int().min(1), r: z.int().min(1) })).max(100_000),
  initialDensity: z.number().nullable(),
  retained: z
    .strictObject({
      expectedDensity: z.number(),
      retainedDensity: z.number(),
      ranks: z.record(z.string(), z.int().min(0)),
      lambda: z.number(),
    })
    .nullable(),
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
  [
    ['parameters', parameters],
    ['firstMoment', firstMoment],
    ['secondMoment', secondMoment],
  ].map(([name, data]) => [`${prefix}.${name as string}`, { shape: [(data as Vector).length], data: data as Vector }] as const)

const described = ({ parameters: _p, firstMoment: _m, secondMoment: _v, ...rest }: RunState) => rest

/**
 * Writes the checkpoint of a step beside the earlier ones and keeps the newest two. The checksum goes first: whenever the process dies, a
 * checkpoint that is there has its checksum, and at most a checksum is left over. Throws FileError; nothing of the new one is then left.
 */
export const saveCheckpoint = async (folder: string, { state, best, ...rest }: Checkpoint): Promise<string> => {
  await mkdir(folder, { recursive: true })
  const tensors = new Map([...vectorsOf('state', state), ...(best === null ? [] : vectorsOf('best', best.state))])
  const content = JSON.stringify({
    state: described(state),
    best: best === null ? null : { ...best, state: described(best.state) },
    ...rest,
  })
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
  for (const name of await readdir(folder))
    if (/^step-\d{9}\.safetensors\.sha256$/.test(name) && !there.has(name)) await unlink(join(folder, name))
}

/** The newest checkpoint's file and step, unread; null where there is none. */
export const lastCheckpoint = async (folder: string): Promise<{ readonly path: string; readonly step: number } | null> => {
  const step = (await checkpointSteps(folder)).at(-1)
  return step === undefined ? null : { path: join(folder, nameOf(step)), step }
}

/** Steps of the checkpoints in a folder, ascending; none where the folder is absent. */
export const checkpointSteps = async (folder: string): Promise<ReadonlyArray<number>> =>
  (await readdir(folder).catch(() => []))
    .flatMap((name) => {
      const step = pattern.exec(name)?.[1]
      return step === undefined ? [] : [Number(step)]
    })
    .sort((a, b) => a - b)

/**
 * The newest checkpoint that is whole; null where there is none. One that is not is renamed to `….damaged` and reported through `onDamaged`.
 * Throws FileError, and changes nothing, for one that is whole but no state of `run`: its model or data are not what they were, or it is not
 * the run's own. What this allocates and how long it takes is bounded by what the run needs, whatever the file says of itself.
 */
export const newestCheckpoint = async (
  folder: string,
  run: RunOutline,
  onDamaged: (message: string) => void,
): Promise<Checkpoint | null> => {
  for (const step of [...(await checkpointSteps(folder))].reverse()) {
    const path = join(folder, nameOf(step))
    const size = await stat(path).then(
      (found) => found.size,
      () => 0,
    )
    const limit = headerLimit + 6 * largestVector(run) * bytesOfNumber[run.dtype]
    if (size > limit) throw fileError(path, `at most ${limit} bytes, by the model as it is now`, `${size}`)
    const damage = await damageOf(folder, nameOf(step))
    if (damage === null) {
      const checkpoint = await loadCheckpoint(path, run)
      await tidy(folder) // which a kill may have kept the save from
      return checkpoint
    }
    await rename(path, `${path}.damaged`)
    onDamaged(`${damage}; set aside as ${path}.damaged`)
  }
  return null
}

const bytesOfNumber = { float32: 4, float64: 8 } as const

/** Why a checkpoint's bytes are not those that its `.sha256` was written for, in one line; null where they are. */
const damageOf = async (folder: string, name: string): Promise<string | null> => {
  try {
    const path = await fileInFolder(folder, name)
    if (path === undefined) throw fileError(join(folder, name), 'a file', 'a link to none')
    const checksumFile = await fileInFolder(folder, checksumOf(name))
    if (checksumFile === undefined) throw fileError(path, 'the checksum in its .sha256 file', 'no such file')
    const digest = (await readText(checksumFile, 1_000)).trim()
    const found = await digestOf(path)
    if (digest !== found) throw fileError(path, `the checksum ${digest === '' ? 'that its .sha256 file lacks' : digest}`, found)
    return null
  } catch (error) {
    return reason(error)
  }
}

const chunkBytes = 4 << 20

const digestOf = (path: string): Promise<string> =>
  withRegularFile(path, async (handle, size) => {
    const hash = createHash('sha256')
    for (let at = 0; at < size; at += chunkBytes) hash.update(await readBytes(handle, path, at, Math.min(chunkBytes, size - at)))
    return hash.digest('hex')
  })

const loadCheckpoint = async (path: string, run: RunOutline): Promise<Checkpoint> => {
  const { tensors, metadata } = await readSafetensors(path)
  const parsed = schema.safeParse(parseJson(metadata['content'] ?? 'null', path))
  if (!parsed.success) throw fileError(path, 'a checkpoint of this version', parsed.error.issues[0]?.message ?? 'another content')
  const { state, best, ...rest } = parsed.data
  const restored = async (prefix: string, described: z.infer<typeof stateSchema>): Promise<RunState> => {
    const misfit = misfitOf(run, described)
    if (misfit !== null)
      throw fileError(path, `a ${prefix} of this run, by its model and data as they are now: ${misfit.expected}`, misfit.found)
    const size = layoutOf(run.config, described).size
    const vector = async (part: keyof Vectors): Promise<Vector> => {
      const [label, entry, dtype] = [`${prefix}.${part}`, tensors.get(`${prefix}.${part}`), run.dtype === 'float64' ? 'F64' : 'F32']
      if (entry?.dtype !== dtype || entry.shape.join() !== String(size))
        throw fileError(
          path,
          `tensor ${label} of ${dtype} [${size}]`,
          entry === undefined ? 'none of that name' : `${entry.dtype} [${entry.shape.join()}]`,
        )
      const values = await readExactly(entry)
      const bad = values.find((x) => !Number.isFinite(x) || (part === 'secondMoment' && x < 0))
      if (bad !== undefined)
        throw fileError(path, `tensor ${label} of finite numbers${part === 'secondMoment' ? ' from 0' : ''}`, String(bad))
      return values
    }
    return {
      ...described,
      parameters: await vector('parameters'),
      firstMoment: await vector('firstMoment'),
      secondMoment: await vector('secondMoment'),
    }
  }
  return {
    ...rest,
    state: await restored('state', state),
    best: best === null ? null : { ...best, state: await restored('best', best.state) },
  }
}
