/** The newest checkpoint of a run's folder, read as the run itself would read it. */
import { join } from 'node:path'
import { openModelFolder } from '../../accelerated/files/modelFolder.js'
import { newestCheckpoint, type Checkpoint } from '../../accelerated/training/checkpointFile.js'
import { startOfRun } from '../../accelerated/training/startOfRun.js'
import { readRunConfig } from '../../evaluation/storedRun.js'

/** Throws where there is none, or the newest is damaged. `modelFolder` has the run's model; the task has two labels. */
export const savedState = async (output: string, modelFolder: string): Promise<Checkpoint['state']> => {
  const { settings } = (await readRunConfig(output))!
  const model = await openModelFolder(modelFolder, { outputs: { labels: 2, problem: 'classification' } })
  const { modules } = await startOfRun(model, settings)
  const outline = { config: model.config, dtype: settings.precision, steps: settings.maxSteps ?? Infinity, modules }
  const checkpoint = await newestCheckpoint(join(output, 'checkpoints'), outline, (message) => {
    throw new Error(message)
  })
  return checkpoint!.state
}
