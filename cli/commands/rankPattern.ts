/** salora rank-pattern: the ranks that a run found, for an ordinary LoRA run. */
import { rankPatternOfRun } from '../../finetuning/use/rankPattern.js'
import { required, switchFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'

export const rankPattern = defineCommand({
  name: 'salora rank-pattern',
  description:
    "Print the ranks that a run found as JSON, for --rank-pattern and as arguments of PEFT's LoraConfig. Matrices of rank 0 are absent from target_modules.",
  looseWords: { flags: ['run'] },
  flags: {
    Run: {
      run: required(textFlag('folder', 'Run folder of salora train'), 'the folder of a run'),
      force: switchFlag('Print the ranks of a run with too few gated steps too'),
    },
  },
  examples: [
    {
      command: 'salora rank-pattern --run runs/reviews > pattern.json',
      result: 'salora train --method lora --rank-pattern pattern.json trains LoRA at these ranks.',
    },
  ],
  run: async ({ run, force }, terminal) => {
    const pattern = await rankPatternOfRun(run, force)
    terminal.result(JSON.stringify(pattern, null, 2), pattern)
    return exitCodes.success
  },
})
