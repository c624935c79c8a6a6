/** salora train: one fine-tuning run. */
import { trainFlags } from '../options/trainFlags.js'
import { trainRequest } from '../options/trainRequest.js'
import { defineCommand } from '../terminal/command.js'
import { trainingRun } from '../terminal/trainingRun.js'

export const train = defineCommand({
  name: 'salora train',
  description: 'Fine-tune an encoder or a decoder on a task, and save the best adapter, which PEFT can load.',
  usage: '--model <folder|id> --task <name|file> [options]',
  looseWords: { flags: ['task', 'model'] },
  flags: trainFlags,
  examples: [
    {
      command: 'salora train --model FacebookAI/roberta-base --task sst2 --data glue --epochs 3',
      result: 'Prints loss and accuracy, and writes runs/sst2-lora-1.',
    },
    {
      command: 'salora train --model ./bert --task reviews.csv --text review --label stars --method salora',
      result: 'Evaluates on a held-out tenth of the file, and writes runs/reviews-salora-1.',
    },
    {
      command: 'salora train --resume --output runs/sst2-lora-1',
      result: 'Continues the run from its last checkpoint with the same settings.',
    },
  ],
  run: async (flags, terminal) => trainingRun(await trainRequest(flags), terminal),
})
