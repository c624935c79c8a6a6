/** Whether a base model can do a task: its kind, its size and its numbers. */
import { checkFinite } from '../../accelerated/checkpoints/finiteWeights.js'
import { frozenHead, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { memoryLimit } from '../../accelerated/engines/memoryLimit.js'
import { headOf, type ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { checkWeightsFit } from '../../accelerated/precisions/memoryCheck.js'
import type { Precision } from '../../accelerated/precisions/precision.js'
import type { TaskType } from '../tasks/taskType.js'
import type { RunOptions } from './run.js'

/** @throws InputError if the model is too large, not finite, or cannot do the task */
export const checkBase = async (
  base: ModelFolder,
  { task }: Pick<RunOptions, 'task'>,
  { checkModel }: Pick<TaskType, 'checkModel'>,
  outputs: ModelOutputs,
  precision: Precision,
  cardMemory = Infinity,
): Promise<void> => {
  checkModel?.(base.model, task.task)
  checkWeightsFit(precision, base, Math.min(memoryLimit(), cardMemory))
  const frozen = [...frozenHead(base, outputs)].map(([name, { shape }]) => [name, shape] as const)
  await checkFinite(base, [...headOf(base.model, outputs).tensors, ...frozen])
}
