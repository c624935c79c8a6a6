/** Loads a checkpoint and validates that it is a state of this run. Its checksum does not prove who wrote it. */
import { inputError, type InputError } from '../errors/inputError.js'
import { showShape, type FloatType } from '../graph/expression.js'
import type { RunState } from '../parameters/runState.js'
import type { Vector } from '../parameters/vectors.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import type { Storage } from '../storage/storage.js'
import { parseCheckpointContent, type CheckpointContent, type Checkpoint } from './checkpointContent.js'
import { differing, type Fingerprint } from './fingerprint.js'
import { readExactly, readSafetensors, type SafetensorsFile } from './safetensors/safetensors.js'

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
  readonly vectorsOf: (phase: unknown) => { readonly size: number; readonly memory: readonly string[] }
  /** what its numbers follow from now, and the defaults of its settings; unknown if absent */
  readonly fingerprint?: {
    readonly now: Fingerprint
    readonly defaults: Fingerprint
    /** by step, the fingerprint of a run that ended there and was extended since: its last state is where the extended run resumes */
    readonly ended?: ReadonlyMap<number, Fingerprint>
  }
}

/** @throws InputError if the checkpoint is none of this version, or no state of the run */
export const loadCheckpoint = async (path: string, run: RunOutline, storage: Storage = nodeFiles): Promise<Checkpoint> => {
  const { tensors, metadata } = await readSafetensors(path, storage)
  const content = parseCheckpointContent(metadata['content'], path)
  const { method, step, phase, best, layout: _, ...rest } = content
  checkFingerprint(path, content, run)
  if (method !== run.method) throw notOfRun(path, `method ${run.method}`, method)
  if (step > run.steps) throw notOfRun(path, `at most ${run.steps} steps`, String(step))
  const vector = vectorReader(path, tensors, run.dtype)
  const state = await readState(run, { step, phase: phaseOf(path, run, phase, step) }, vector)
  if (best === null) return { ...rest, state, best }
  if (best.step > step) throw notOfRun(path, 'a best step before its own', String(best.step))
  const bestPhase = phaseOf(path, run, best.phase, best.step)
  return { ...rest, state, best: { ...best, phase: bestPhase, parameters: await vector('best', run.vectorsOf(bestPhase).size) } }
}

const notOfRun = (path: string, expected: string, got: string): InputError =>
  inputError(path, `a state of this run with its current model and data: ${expected}`, got)

const checkFingerprint = (path: string, { step, fingerprint: before }: CheckpointContent, { fingerprint }: RunOutline): void => {
  if (fingerprint === undefined || before === undefined) return
  const { now, defaults, ended } = fingerprint
  const atEnd = ended?.get(step)
  if (atEnd !== undefined && differing(before, atEnd, defaults).length === 0) return
  const differences = differing(before, now, defaults)
  if (differences.length > 0) throw inputError(path, 'the settings, model and data that it was saved under', differences.join('; '))
}

const phaseOf = (path: string, { parsePhase }: RunOutline, json: unknown, step: number): unknown => {
  const parsed = parsePhase(json, step)
  if ('expected' in parsed) throw notOfRun(path, parsed.expected, parsed.got)
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
  const { size, memory: names } = run.vectorsOf(phase)
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
