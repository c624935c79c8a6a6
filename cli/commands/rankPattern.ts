/** salora rank-pattern: the ranks that a run found, for an ordinary LoRA run. */
import type { Command } from 'commander'
import { rankPatternOfRun } from '../../finetuning/adapters/rankPattern.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export const addRankPattern = (command: Command): void => {
  command.description(
    "Prints the ranks that a run found as JSON: arguments of PEFT's LoraConfig(task_type='SEQ_CLS', **json). Matrices of rank 0 are not among target_modules.",
  )
  command
    .option('--run <folder>', 'a run of salora train')
    .option('--force', 'also the ranks of a run whose gates were sampled in too few steps to mean anything')
  withOutput(command, ['salora rank-pattern --run runs/reviews > pattern.json'], async (given, terminal) => {
    if (typeof given['run'] !== 'string') throw usageError('--run', 'the folder of a run', 'none given')
    const pattern = await rankPatternOfRun(given['run'], given['force'] === true)
    terminal.result(JSON.stringify(pattern, null, 2), pattern)
    return exitCodes.success
  })
}
