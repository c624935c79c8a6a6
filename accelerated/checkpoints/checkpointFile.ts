/**
 * Checkpoints: everything a run needs to go on, in one safetensors file, so that it is whole or absent. Data order, dropout and gate noise are
 * functions of the seed and of a step's number (random.ts): the numbers of steps are their counters.
 */
import { createHash } from 'node:crypto'
import { readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../storage/atomicFile.js'
import { validate } from '../errors/validate.js'
import { fileSha256 } from '../storage/sha256.js'
import { makeFolder } from '../storage/makeFolder.js'
import { inputError, reason } from '../errors/inputError.js'
import { parseJson, readText } from '../storage/boundedJson.js'
import { headerLimit, readExactly, readSafetensors } from './safetensors/safetensors.js'
import { fileInFolder } from '../storage/fileInFolder.js'
import { isAbsent, SystemError, systemInputError, writeError } from '../errors/systemError.js'
import type { WritableTensor } from './safetensors/writeSafetensors.js'
import { safetensorsChunks } from './safetensors/writeSafetensors.js'
import { differing, type Fingerprint } from './fingerprint.js'
import type { FloatType } from '../graph/expression.js'
import type { RunProgress, RunState } from '../parameters/runState.js'
import { namedVectors, type Vector } from '../parameters/vectors.js'

const numbers = z.record(z.string(), z.number())
const count = z.int().min(0)
/** The layout of checkpoints; one of another number is of another version of salora. */
const layoutVersion = 2

/** What a checkpoint says beside its vectors. Phases are checked by their method's own schema. */
const schema = z.strictObject({
  layout: z.literal(layoutVersion),
  method: z.string().max(500),
  step: count,
  phase: z.unknown(),
  best: z.strictObject({ phase: z.unknown(), step: count, selection: z.number(), scores: numbers }).nullable(),
  sinceBest: count.optional(),
  lastEvaluation: z.strictObject({ step: count, scores: numbers }).nullable(),
  byMatrix: z.record(z.string(), numbers),
  fingerprint: z.record(z.string(), z.unknown()).optional(),
  metricsLines: count,
})

export type Checkpoint = RunProgress & {
  readonly state: RunState
  /** lines of metrics.jsonl that belong to the run up to here: what follows them is done again */
  readonly metricsLines: number
  /** what the run's numbers follow from; absent in checkpoints before it was recorded */
  readonly fingerprint?: Fingerprint | undefined
}

/** What every state of a run must be like, as its start determines it. A checkpoint is validated against it before anything uses it. */
export type RunOutline = {
  /** the method's name */
  readonly method: string
  readonly dtype: FloatType
  /** steps of the whole run */
  readonly steps: number
  /** the state that it starts with */
  readonly start: RunState
  /** The phase as the method parses it, if it can be one after this many steps; otherwise what is wrong. */
  readonly parsePhase: (phase: unknown, step: number) => { readonly phase: unknown } | { readonly expected: string; readonly got: string }
  /** size of each vector in a phase, and the names of the vectors beside parameters and moments */
  readonly vectorsOf: (phase: unknown) => { readonly size: number; readonly memory: ReadonlyArray<string> }
  /** what its numbers follow from now, and the defaults of its settings; unknown where it is not given */
  readonly fingerprint?: {
    readonly now: Fingerprint
    readonly defaults: Fingerprint
    /** what it was when the run ended before it was made longer: by that step, whose state is where it goes on */
    readonly ended?: ReadonlyMap<number, Fingerprint>
  }
}

const kept = 2
const pattern = /^step-(\d{9})\.safetensors$/
const nameOf = (step: number): string => `step-${String(step).padStart(9, '0')}.safetensors`

/** Every vector of the state, and the parameters of the best evaluation. */
const vectorsOf = ({ state, best }: Checkpoint): ReadonlyMap<string, WritableTensor> =>
  new Map(
    [...Object.entries(namedVectors(state)), ...(best === null ? [] : [['best', best.parameters] as const])].map(([name, data]) => [
      name,
      { shape: [data.length], data },
    ]),
  )

/**
 * Writes the checkpoint of a step beside the earlier ones and keeps the newest two. The checksum goes first: whenever the process dies, a
 * checkpoint that is there has its checksum, and at most a checksum is left over. Throws Mistake; nothing of the new one is then left.
 */
export const saveCheckpoint = async (folder: string, method: string, checkpoint: Checkpoint): Promise<string> => {
  const { state, best, ...rest } = checkpoint
  await makeFolder(folder).catch((thrown: unknown) => {
    throw writeError(folder, thrown)
  })
  const content = JSON.stringify({
    layout: layoutVersion,
    method,
    step: state.step,
    phase: state.phase,
    best: best === null ? null : { phase: best.phase, step: best.step, selection: best.selection, scores: best.scores },
    ...rest,
  })
  const pieces = safetensorsChunks(vectorsOf(checkpoint), { content })
  const path = join(folder, nameOf(state.step))
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  await writeFileAtomically(checksumOf(path), `${hash.digest('hex')}\n`)
  try {
    await writeFileAtomically(path, pieces)
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
  for (const step of (await checkpointSteps(folder)).slice(0, -kept)) await remove(join(folder, nameOf(step)))
  const there = new Set((await checkpointSteps(folder)).map((step) => checksumOf(nameOf(step))))
  for (const name of await namesIn(folder))
    if (/^step-\d{9}\.safetensors\.sha256$/.test(name) && !there.has(name)) await remove(join(folder, name))
}

const remove = (path: string): Promise<void> =>
  unlink(path).catch((thrown: unknown) => {
    throw systemInputError(path, 'a file that can be removed', thrown)
  })

/** The newest checkpoint's file and step, unread; null where there is none. */
export const lastCheckpoint = async (folder: string): Promise<{ readonly path: string; readonly step: number } | null> => {
  const step = (await checkpointSteps(folder)).at(-1)
  return step === undefined ? null : { path: join(folder, nameOf(step)), step }
}

/** Steps of the checkpoints in a folder, ascending; none where the folder is absent. Throws Mistake where it cannot be read. */
export const checkpointSteps = async (folder: string): Promise<ReadonlyArray<number>> =>
  (await namesIn(folder))
    .flatMap((name) => {
      const step = pattern.exec(name)?.[1]
      return step === undefined ? [] : [Number(step)]
    })
    .sort((a, b) => a - b)

const namesIn = (folder: string): Promise<ReadonlyArray<string>> =>
  readdir(folder).catch((thrown: unknown) => {
    if (isAbsent(thrown)) return []
    throw systemInputError(folder, 'a readable folder', thrown)
  })

/**
 * The newest checkpoint that is whole; null where there is none at all. Newer ones that are damaged are renamed to `….damaged` and reported
 * through `onDamaged`. Throws Mistake, and changes nothing: where one cannot be read, which says nothing of what is in it; where all are
 * damaged; where the newest whole one is no state of `run`, since its model, data or settings are not what they were. What this allocates and
 * how long it takes is bounded by what the run needs, whatever the file says of itself.
 */
export const newestCheckpoint = async (
  folder: string,
  run: RunOutline,
  onDamaged: (message: string) => void,
): Promise<Checkpoint | null> => {
  const damaged: { readonly path: string; readonly damage: string }[] = []
  for (const step of [...(await checkpointSteps(folder))].reverse()) {
    const path = join(folder, nameOf(step))
    const size = await sizeOf(path)
    const limit = headerLimit + largestBytes(run)
    if (size > limit) throw inputError(path, `at most ${limit} bytes, by the model as it is now`, `${size}`)
    const damage = await damageOf(folder, nameOf(step))
    if (damage !== null) {
      damaged.push({ path, damage })
      continue
    }
    const checkpoint = await loadCheckpoint(path, run)
    for (const aside of damaged) {
      await rename(aside.path, `${aside.path}.damaged`).catch((thrown: unknown) => {
        throw systemInputError(aside.path, 'a file that can be renamed', thrown)
      })
      onDamaged(`${aside.damage}; set aside as ${aside.path}.damaged`)
    }
    await tidy(folder) // which a kill may have kept the save from
    return checkpoint
  }
  const aside = (await namesIn(folder)).filter((name) => name.endsWith('.safetensors.damaged')).map((name) => join(folder, name))
  const [first = aside.at(-1)] = damaged.map(({ damage }) => damage)
  if (first !== undefined)
    throw inputError(
      folder,
      'a whole checkpoint (a new --output starts anew)',
      `${damaged.length + aside.length} damaged and no other: ${first}`,
    )
  return null
}

/** 0 for a link to nothing, which is damaged. */
const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    (thrown: unknown) => {
      if (isAbsent(thrown)) return 0
      throw systemInputError(path, 'a readable file', thrown)
    },
  )

const bytesOfNumber = { float32: 4, float64: 8 } as const

/** A state of any phase has at most twice the numbers that the run starts with: gates are one for each of many. */
const largestBytes = ({ start, dtype }: RunOutline): number =>
  2 * bytesOfNumber[dtype] * Object.values(namedVectors(start)).reduce((sum, { length }) => sum + length, start.parameters.length)

/** Why a checkpoint's bytes are not those that its `.sha256` was written for, in one line; null where they are. Throws SystemError where they cannot be read. */
const damageOf = async (folder: string, name: string): Promise<string | null> => {
  try {
    const path = await fileInFolder(folder, name)
    if (path === undefined) throw inputError(join(folder, name), 'a file', 'a link to none')
    const checksumFile = await fileInFolder(folder, checksumOf(name))
    if (checksumFile === undefined) throw inputError(path, 'the checksum in its .sha256 file', 'no such file')
    const digest = (await readText(checksumFile, 1_000)).trim()
    const found = await fileSha256(path)
    if (digest !== found) throw inputError(path, `the checksum ${digest === '' ? 'that its .sha256 file lacks' : digest}`, found)
    return null
  } catch (error) {
    if (error instanceof SystemError) throw error
    return reason(error)
  }
}

const loadCheckpoint = async (path: string, run: RunOutline): Promise<Checkpoint> => {
  const { tensors, metadata } = await readSafetensors(path)
  const json = parseJson(metadata['content'] ?? 'null', path)
  const layout = typeof json === 'object' && json !== null && 'layout' in json ? json.layout : 1
  if (layout !== layoutVersion)
    throw inputError(
      path,
      `a checkpoint of layout ${layoutVersion}, as this version of salora writes it`,
      `layout ${JSON.stringify(layout)}: go on with the version that wrote it, or start anew`,
    )
  const { method, step, phase, best, layout: _, ...rest } = validate(schema, json, path, 'a checkpoint of this version')
  const misfit = (expected: string, found: string) =>
    inputError(path, `a state of this run, by its model and data as they are now: ${expected}`, found)
  const { fingerprint: before } = rest
  if (run.fingerprint !== undefined && before !== undefined) {
    const { now, defaults, ended } = run.fingerprint
    const atEnd = ended?.get(step)
    const ownEnd = atEnd !== undefined && differing(before, atEnd, defaults).length === 0
    const different = ownEnd ? [] : differing(before, now, defaults)
    if (different.length > 0) throw inputError(path, 'the settings, model and data that it was saved under', different.join('; '))
  }
  if (method !== run.method) throw misfit(`method ${run.method}`, method)
  if (step > run.steps) throw misfit(`at most ${run.steps} steps`, String(step))

  const phaseOf = (given: unknown, done: number): unknown => {
    const parsed = run.parsePhase(given, done)
    if ('expected' in parsed) throw misfit(parsed.expected, parsed.got)
    return parsed.phase
  }
  const vector = async (name: string, size: number): Promise<Vector> => {
    const [entry, dtype] = [tensors.get(name), run.dtype === 'float64' ? 'F64' : 'F32']
    if (entry?.dtype !== dtype || entry.shape.join() !== String(size))
      throw inputError(
        path,
        `tensor ${name} of ${dtype} [${size}]`,
        entry === undefined ? 'none of that name' : `${entry.dtype} [${entry.shape.join()}]`,
      )
    const values = await readExactly(entry)
    const bad = values.find((x) => !Number.isFinite(x) || (name === 'secondMoment' && x < 0))
    if (bad !== undefined)
      throw inputError(path, `tensor ${name} of finite numbers${name === 'secondMoment' ? ' from 0' : ''}`, String(bad))
    return values
  }
  const own = phaseOf(phase, step)
  const { size, memory: memoryNames } = run.vectorsOf(own)
  const memory: Record<string, Vector> = {}
  for (const name of memoryNames) memory[name] = await vector(name, size)
  const state: RunState = {
    step,
    phase: own,
    parameters: await vector('parameters', size),
    firstMoment: await vector('firstMoment', size),
    secondMoment: await vector('secondMoment', size),
    memory,
  }
  if (best === null) return { ...rest, state, best }
  if (best.step > step) throw misfit('a best step before its own', String(best.step))
  const bestPhase = phaseOf(best.phase, best.step)
  return { ...rest, state, best: { ...best, phase: bestPhase, parameters: await vector('best', run.vectorsOf(bestPhase).size) } }
}
