/** Finds the checkpoint that a run resumes from, the newest one whose bytes are intact, and validates that it is a state of this run. Its checksum does not prove who wrote it. */
import { inputError, type InputError, reason } from '../errors/inputError.js'
import { showShape, type FloatType } from '../graph/expression.js'
import type { RunState } from '../parameters/runState.js'
import { type Vector, namedVectors } from '../parameters/vectors.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import type { Storage } from '../storage/storage.js'
import {
  parseCheckpointContent,
  type CheckpointContent,
  type Checkpoint,
  checkpointSteps,
  checksumFile,
  checkpointFileName,
  removeOldCheckpoints,
} from './checkpointFile.js'
import { differing, type Fingerprint } from './fingerprint.js'
import { readExactly, readSafetensors, type SafetensorsFile, headerLimit } from './safetensors/safetensors.js'
import { SystemError } from '../errors/systemError.js'
import { option, words } from '../errors/words.js'
import { readText } from '../storage/text.js'
import { fileInFolder, joinPath } from '../storage/paths.js'
import { fileSha256 } from '../storage/digests.js'

/** What every state of a run must be like, as its start determines it. A checkpoint is validated against it before anything uses it. */
export type RunOutline = {
  readonly method: string
  readonly dtype: FloatType
  /** steps of the whole run */
  readonly steps: number
  readonly start: RunState
  /** The phase as the method parses it, if it can be one after this many steps; otherwise what is wrong. */
  readonly parsePhase: (phase: unknown, step: number) => { readonly phase: unknown } | { readonly expected: string; readonly got: string }
  /** size of each vector in a phase, and the names of the vectors beside parameters and moments */
  readonly describeVectors: (phase: unknown) => { readonly size: number; readonly memory: readonly string[] }
  /** what its numbers follow from now, and the defaults of its settings; unknown if absent */
  readonly fingerprint?: {
    readonly now: Fingerprint
    readonly defaults: Fingerprint
    /** by step, the fingerprint of a run that ended there and was extended since: its last state is where the extended run resumes */
    readonly ended?: ReadonlyMap<number, Fingerprint>
  }
}

/** @throws InputError if the checkpoint is none of this version, or no state of the run */
const loadCheckpoint = async (path: string, run: RunOutline, storage: Storage = nodeFiles): Promise<Checkpoint> => {
  const { tensors, metadata } = await readSafetensors(path, storage)
  const content = parseCheckpointContent(metadata['content'], path)
  const { method, step, phase, best, layout: _, ...rest } = content
  checkFingerprint(path, content, run)
  if (method !== run.method) throw runMismatch(path, `method ${run.method}`, method)
  if (step > run.steps) throw runMismatch(path, `at most ${run.steps} steps`, String(step))
  const vector = vectorReader(path, tensors, run.dtype)
  const state = await readState(run, { step, phase: restorePhase(path, run, phase, step) }, vector)
  if (best === null) return { ...rest, state, best }
  if (best.step > step) throw runMismatch(path, 'a best step before its own', String(best.step))
  const bestPhase = restorePhase(path, run, best.phase, best.step)
  return { ...rest, state, best: { ...best, phase: bestPhase, parameters: await vector('best', run.describeVectors(bestPhase).size) } }
}

const runMismatch = (path: string, expected: string, got: string): InputError =>
  inputError(path, `a state of this run with its current model and data: ${expected}`, got)

const checkFingerprint = (path: string, { step, fingerprint: before }: CheckpointContent, { fingerprint }: RunOutline): void => {
  if (fingerprint === undefined || before === undefined) return
  const { now, defaults, ended } = fingerprint
  const atEnd = ended?.get(step)
  if (atEnd !== undefined && differing(before, atEnd, defaults).length === 0) return
  const differences = differing(before, now, defaults)
  if (differences.length > 0) throw inputError(path, 'the settings, model and data that it was saved under', differences.join('; '))
}

const restorePhase = (path: string, { parsePhase }: RunOutline, json: unknown, step: number): unknown => {
  const parsed = parsePhase(json, step)
  if ('expected' in parsed) throw runMismatch(path, parsed.expected, parsed.got)
  return parsed.phase
}

type VectorReader = (name: string, size: number) => Promise<Vector>

/** @throws InputError if a vector is missing, of another type or size, or has a number that no state can have */
const vectorReader =
  (path: string, tensors: SafetensorsFile['tensors'], dtype: FloatType): VectorReader =>
  async (name, size) => {
    const [entry, stored] = [tensors.get(name), dtype === 'float64' ? 'F64' : 'F32']
    if (entry?.dtype !== stored || entry.shape.join() !== String(size))
      throw inputError(
        path,
        `tensor ${name} of ${stored} [${size}]`,
        entry === undefined ? 'none of that name' : `${entry.dtype} ${showShape(entry.shape)}`,
      )
    const values = await readExactly(entry)
    const isSquare = /^secondMoment( \d+)?$/.test(name) // with a number, of another replica
    const bad = values.find((x) => !Number.isFinite(x) || (isSquare && x < 0))
    if (bad !== undefined) throw inputError(path, `tensor ${name} of finite numbers${isSquare ? ' from 0' : ''}`, String(bad))
    return values
  }

const readState = async (run: RunOutline, { step, phase }: Pick<RunState, 'step' | 'phase'>, vector: VectorReader): Promise<RunState> => {
  const { size, memory: names } = run.describeVectors(phase)
  const memory: Record<string, Vector> = {}
  for (const name of names) memory[name] = await vector(name, size)
  return {
    step,
    phase,
    parameters: await vector('parameters', size),
    firstMoment: await vector('firstMoment', size),
    secondMoment: await vector('secondMoment', size),
    memory,
  }
}

/**
 * The newest intact checkpoint; null if there are none at all. Newer ones that are corrupt are renamed to `….damaged` and reported through
 * `onDamaged`. The run's size bounds the time and the memory, whatever a file claims.
 * @throws InputError, and changes nothing, if a checkpoint cannot be read, if all are corrupt, or if the newest intact one is no state of `run`
 */
export const newestCheckpoint = async (
  folder: string,
  run: RunOutline,
  onDamaged: (message: string) => void,
  storage: Storage = nodeFiles,
): Promise<Checkpoint | null> => {
  const corrupt: Corrupt[] = []
  for (const step of [...(await checkpointSteps(folder, storage))].reverse()) {
    const path = joinPath(folder, checkpointFileName(step))
    await checkSize(path, run, storage)
    const damage = await findDamage(folder, checkpointFileName(step), storage)
    if (damage !== null) {
      corrupt.push({ path, damage })
      continue
    }
    const checkpoint = await loadCheckpoint(path, run, storage)
    await setAside(corrupt, onDamaged, storage)
    await removeOldCheckpoints(folder, storage)
    return checkpoint
  }
  await checkNoneCorrupt(folder, corrupt, storage)
  return null
}

/** A checkpoint's file, and why its bytes are not those that were written. */
type Corrupt = { readonly path: string; readonly damage: string }

const setAside = async (corrupt: readonly Corrupt[], onDamaged: (message: string) => void, storage: Storage): Promise<void> => {
  for (const { path, damage } of corrupt) {
    await storage.rename(path, `${path}.damaged`)
    onDamaged(`${damage}; renamed to ${path}.damaged`)
  }
}

/** Those that an earlier resume renamed count too. @throws InputError if there is one */
const checkNoneCorrupt = async (folder: string, corrupt: readonly Corrupt[], storage: Storage): Promise<void> => {
  const renamed = (await storage.list(folder)).filter((name) => name.endsWith('.safetensors.damaged'))
  const [first = renamed.map((name) => joinPath(folder, name)).at(-1)] = corrupt.map(({ damage }) => damage)
  if (first === undefined) return
  const count = corrupt.length + renamed.length
  throw inputError(
    folder,
    words`an intact checkpoint (to start over, choose a new ${option('output')})`,
    `${count} corrupt and no other: ${first}`,
  )
}

const bytesPerElement = { float32: 4, float64: 8 } as const

/** No state has more than twice the numbers of the run's start, since many numbers share one gate. @throws InputError */
const checkSize = async (path: string, { start, dtype }: RunOutline, storage: Storage): Promise<void> => {
  const numbers = Object.values(namedVectors(start)).reduce((sum, { length }) => sum + length, start.parameters.length)
  const limit = headerLimit + 2 * bytesPerElement[dtype] * numbers
  const size = (await storage.stat(path))?.size ?? 0 // a link to nothing is corrupt
  if (size > limit) throw inputError(path, `at most ${limit} bytes for the current model`, `${size}`)
}

/** Why a checkpoint's bytes differ from those of its checksum, in one line; null if they do not. @throws SystemError if they cannot be read */
const findDamage = async (folder: string, name: string, storage: Storage): Promise<string | null> => {
  try {
    const path = await fileInFolder(folder, name, storage)
    if (path === undefined) throw inputError(joinPath(folder, name), 'a file', 'a link to none')
    const checksum = await fileInFolder(folder, checksumFile(name), storage)
    if (checksum === undefined) throw inputError(path, 'the checksum in its .sha256 file', 'no such file')
    const expected = (await readText(checksum, 1_000, storage)).trim()
    const digest = await fileSha256(path, storage)
    if (expected !== digest) throw inputError(path, `the checksum ${expected === '' ? 'that its .sha256 file lacks' : expected}`, digest)
    return null
  } catch (error) {
    if (error instanceof SystemError) throw error
    return reason(error)
  }
}
