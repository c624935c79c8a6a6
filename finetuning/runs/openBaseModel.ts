/** Opens and checks the base model of a run. */
import { checkFinite } from '../../accelerated/checkpoints/finiteWeights.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { frozenHead, openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { headOf, type ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { checkWeightsFit } from '../../accelerated/precisions/memoryCheck.js'
import type { Precision } from '../../accelerated/precisions/precision.js'
import type { TaskType } from '../tasks/taskType.js'
import type { RunOptions } from './run.js'
import { readRunConfig } from './runFiles.js'

export type BaseModel = {
  readonly base: ModelFolder
  /** the commit on the hub; null for a folder */
  readonly revision: string | null
}

/** A resumed run opens the commit that it began with. @throws InputError if the model is missing, too large, not finite, or cannot do the task */
export const openBaseModel = async (
  options: RunOptions,
  { checkModel }: Pick<TaskType, 'checkModel'>,
  outputs: ModelOutputs,
  precision: Precision,
  signal: AbortSignal,
): Promise<BaseModel> => {
  const pinned = options.resume ? (await readRunConfig(options.output))?.revision : null
  const resolved = await resolveModel(options.model, { signal, ...(pinned == null ? {} : { revision: pinned }) })
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  checkModel?.(base.model, options.task.task)
  checkWeightsFit(precision, base)
  const frozen = [...frozenHead(base, outputs)].map(([name, { shape }]) => [name, shape] as const)
  await checkFinite(base, [...headOf(base.model, outputs).tensors, ...frozen])
  return { base, revision: resolved.revision }
}
