/**
 * Checkpoints of a run: everything it needs to resume, in one safetensors file that is whole or absent. Data order, dropout and gate noise are
 * functions of the seed and the step (parameters/random.ts), so the step is the only counter to save.
 */
import { namedVectors } from '../parameters/vectors.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import { joinPath } from '../storage/paths.js'
import { sha256 } from '../storage/native.js'
import type { Storage } from '../storage/storage.js'
import { checkpointContent, type Checkpoint } from './checkpointContent.js'
import { safetensorsChunks, type WritableTensor } from './safetensors/writeSafetensors.js'

/** Checkpoints that a folder keeps. */
const keptCheckpoints = 2

/** The name of a step's file. */
export const fileOfStep = (step: number): string => `step-${String(step).padStart(9, '0')}.safetensors`

export const checksumFile = (file: string): string => `${file}.sha256`

/** Every vector of the state, and the parameters of the best evaluation. */
const vectorsOf = ({ state, best }: Checkpoint): ReadonlyMap<string, WritableTensor> =>
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
  const chunks = safetensorsChunks(vectorsOf(checkpoint), { content: checkpointContent(method, checkpoint) })
  const path = joinPath(folder, fileOfStep(checkpoint.state.step))
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
  for (const step of (await checkpointSteps(folder, storage)).slice(0, -keptCheckpoints))
    await storage.remove(joinPath(folder, fileOfStep(step)))
  const checksums = new Set((await checkpointSteps(folder, storage)).map((step) => checksumFile(fileOfStep(step))))
  for (const name of await storage.list(folder))
    if (/^step-\d{9}\.safetensors\.sha256$/.test(name) && !checksums.has(name)) await storage.remove(joinPath(folder, name))
}

/** The newest checkpoint's path and step, without reading it; null if there is none. @throws InputError */
export const lastCheckpoint = async (
  folder: string,
  storage: Storage = nodeFiles,
): Promise<{ readonly path: string; readonly step: number } | null> => {
  const step = (await checkpointSteps(folder, storage)).at(-1)
  return step === undefined ? null : { path: joinPath(folder, fileOfStep(step)), step }
}

/** The steps of the checkpoints in a folder, ascending; none if the folder is absent. @throws InputError if it cannot be read */
export const checkpointSteps = async (folder: string, storage: Storage = nodeFiles): Promise<readonly number[]> =>
  (await storage.list(folder))
    .flatMap((name) => {
      const step = /^step-(\d{9})\.safetensors$/.exec(name)?.[1]
      return step === undefined ? [] : [Number(step)]
    })
    .sort((a, b) => a - b)
