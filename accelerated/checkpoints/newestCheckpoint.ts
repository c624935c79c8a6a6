/** Finds the checkpoint that a run resumes from: the newest one whose bytes are those that were written. */
import { inputError, reason } from '../errors/inputError.js'
import { SystemError } from '../errors/systemError.js'
import { namedVectors } from '../parameters/vectors.js'
import { readText } from '../storage/text.js'
import { fileInFolder, joinPath } from '../storage/paths.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import { fileSha256 } from '../storage/digests.js'
import type { Storage } from '../storage/storage.js'
import type { Checkpoint } from './checkpointContent.js'
import { checkpointSteps, checksumFile, fileOfStep, removeOldCheckpoints } from './checkpointFile.js'
import { loadCheckpoint, type RunOutline } from './loadCheckpoint.js'
import { headerLimit } from './safetensors/safetensors.js'

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
    const path = joinPath(folder, fileOfStep(step))
    await checkSize(path, run, storage)
    const damage = await damageOf(folder, fileOfStep(step), storage)
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
  throw inputError(folder, 'an intact checkpoint (to start over, choose a new --output)', `${count} corrupt and no other: ${first}`)
}

const bytesOfNumber = { float32: 4, float64: 8 } as const

/** No state has more than twice the numbers of the run's start, since many numbers share one gate. @throws InputError */
const checkSize = async (path: string, { start, dtype }: RunOutline, storage: Storage): Promise<void> => {
  const numbers = Object.values(namedVectors(start)).reduce((sum, { length }) => sum + length, start.parameters.length)
  const limit = headerLimit + 2 * bytesOfNumber[dtype] * numbers
  const size = (await storage.stat(path))?.size ?? 0 // a link to nothing is corrupt
  if (size > limit) throw inputError(path, `at most ${limit} bytes for the current model`, `${size}`)
}

/** Why a checkpoint's bytes differ from those of its checksum, in one line; null if they do not. @throws SystemError if they cannot be read */
const damageOf = async (folder: string, name: string, storage: Storage): Promise<string | null> => {
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
