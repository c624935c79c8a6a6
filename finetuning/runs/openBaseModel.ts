/** Opens and checks the base model of a run. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { Precision } from '../../accelerated/precisions/precision.js'
import type { TaskType } from '../tasks/taskType.js'
import { checkBase } from './checkBase.js'
import type { RunOptions } from './run.js'
import { readRunConfig } from './runFiles.js'

export type BaseModel = {
  readonly base: ModelFolder
  /** the commit on the hub; null for a folder */
  readonly revision: string | null
}

/**
 * A resumed run opens the commit that it began with, and a worker that of its leader.
 * @param cardMemory bytes of the card that holds the weights; absent: the machine holds them
 * @throws InputError if the model is missing, too large, not finite, or cannot do the task
 */
export const openBaseModel = async (
  options: RunOptions,
  taskType: Pick<TaskType, 'checkModel'>,
  outputs: ModelOutputs,
  precision: Precision,
  signal: AbortSignal,
  cardMemory?: number,
): Promise<BaseModel> => {
  const pinned = options.revision ?? (options.resume ? (await readRunConfig(options.output))?.revision : null)
  const resolved = await resolveModel(options.model, { signal, ...(pinned == null ? {} : { revision: pinned }) })
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  await checkBase(base, options, taskType, outputs, precision, cardMemory)
  return { base, revision: resolved.revision }
}
