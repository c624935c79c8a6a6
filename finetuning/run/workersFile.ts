/** workers.json of a run on several machines: who computed parts of it lately. The board shows it while the run is running. */
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { fileInFolder, joinPath } from '../../accelerated/storage/paths.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import type { WorkersReport } from '../machines/pace.js'

export const workersFile = 'workers.json'

/** The newest report, after this step. */
export type RunWorkers = WorkersReport & { readonly step: number }

const schema = z.strictObject({
  step: z.int().min(0),
  workers: z.int().min(0),
  partsPerSecond: z.number().min(0),
  slowest: z.strictObject({ worker: z.string().max(200), seconds: z.number().min(0) }).nullable(),
})

/** Milliseconds between two writes: each waits for the disk. */
const writeInterval = 5_000

/** Writes reports, at most one every five seconds. */
export const workersWriter = (
  output: string,
  storage: Storage = nodeFiles,
  now: () => number = () => performance.now(),
): ((report: RunWorkers) => Promise<void>) => {
  let writtenAt = -Infinity
  return async ({ step, workers, partsPerSecond, slowest }) => {
    if (now() - writtenAt < writeInterval) return
    writtenAt = now()
    await storage.write(joinPath(output, workersFile), `${JSON.stringify({ step, workers, partsPerSecond, slowest })}\n`)
  }
}

/** The maximum bytes of the file: the name of a worker has 200 characters at most. */
const workersLimit = 10_000

/** workers.json of a run; null if it has none. @throws InputError if the file is invalid */
export const readWorkers = async (output: string, storage: Storage = nodeFiles): Promise<RunWorkers | null> => {
  if ((await fileInFolder(output, workersFile, storage)) === undefined) return null
  const file = joinPath(output, workersFile)
  return validate(schema, parseJson(await readText(file, workersLimit, storage), file), file, 'the workers of a run')
}
