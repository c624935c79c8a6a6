/** The newest checkpoint of a run's folder, read as the run itself would read it. */
import { join } from 'node:path'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { checkpointNumbers, frozenWeights } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { findMethod } from '../../accelerated/training/resolveSettings.js'
import { assemble } from '../../accelerated/training/assembly.js'
import { runOutline, initializeRun } from '../../accelerated/training/initialState.js'
import { newestCheckpoint } from '../../accelerated/checkpoints/loadCheckpoint.js'
import type { Checkpoint } from '../../accelerated/checkpoints/checkpointFile.js'
import { readRunConfig } from '../../finetuning/run/runFiles.js'

/** Throws where there is none, or the newest is damaged. `modelFolder` has the run's model; the task has two labels. */
export const savedState = async (output: string, modelFolder: string): Promise<Checkpoint['state']> => {
  const { settings } = (await readRunConfig(output))!
  const base = await openModelFolder(modelFolder)
  const [method, precision] = [findMethod(settings.method), findPrecision(settings.precision)]
  const assembly = assemble({ model: base.model, frozen: frozenWeights(base, precision.dtype), method, settings, precision }, (model) =>
    sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }),
  )
  const start = await initializeRun(assembly, checkpointNumbers(base))
  const outline = runOutline(assembly, { start, steps: settings.maxSteps ?? Infinity })
  const checkpoint = await newestCheckpoint(join(output, 'checkpoints'), outline, (message) => {
    throw new Error(message)
  })
  return checkpoint!.state
}
