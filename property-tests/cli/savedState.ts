/** The newest checkpoint of a run's folder, read as the run itself would read it. */
import { join } from 'node:path'
import { precisionOf } from '../../accelerated/commonSettings.js'
import { checkpointNumbers, frozenWeights } from '../../accelerated/files/frozenWeights.js'
import { openModelFolder } from '../../accelerated/files/modelFolder.js'
import { sequence } from '../../accelerated/objectives/sequence.js'
import { methodOf } from '../../accelerated/settings.js'
import { assemble } from '../../accelerated/training/assembly.js'
import { newestCheckpoint, type Checkpoint } from '../../accelerated/training/checkpointFile.js'
import { startOfRun } from '../../accelerated/training/state.js'
import { readRunConfig } from '../../evaluation/runs/storedRun.js'

/** Throws where there is none, or the newest is damaged. `modelFolder` has the run's model; the task has two labels. */
export const savedState = async (output: string, modelFolder: string): Promise<Checkpoint['state']> => {
  const { settings } = (await readRunConfig(output))!
  const base = await openModelFolder(modelFolder)
  const [method, precision] = [methodOf(settings.method), precisionOf(settings.precision)]
  const assembly = assemble({ model: base.model, frozen: frozenWeights(base, precision.dtype), method, settings, precision }, (model) =>
    sequence(model, { labels: 2, problem: 'classification' }),
  )
  const start = await startOfRun(assembly, checkpointNumbers(base))
  const outline = { ...assembly, start, steps: settings.maxSteps ?? Infinity }
  const checkpoint = await newestCheckpoint(join(output, 'checkpoints'), outline, (message) => {
    throw new Error(message)
  })
  return checkpoint!.state
}
