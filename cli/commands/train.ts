/** salora train: one fine-tuning run. */
import type { Command } from 'commander'
import { withOffline, withOutput } from '../terminal/command.js'
import { addFlags } from '../options/trainFlags.js'
import { trainingRun } from '../terminal/trainingRun.js'
import { trainRequest } from '../options/trainRequest.js'

export const addTrain = (command: Command): void => {
  command.description(
    "Fine-tunes a model on a task: RoBERTa, XLM-RoBERTa, BERT, DistilBERT, ELECTRA, MPNet, DeBERTa, ModernBERT, or a decoder (LLaMA, Mistral, Qwen2) as a classifier. The run's folder gets config.json, metrics.jsonl, result.json, rows.json, adapter/ (which PEFT loads, or the adapters library) and checkpoints/.\n" +
      "adapter/ is that of the best step by the task's metric, or by --metric-for-best-model; --no-load-best-model-at-end keeps the last step's.\n" +
      'Ctrl-C stops after the step at hand and saves (exit code 130), as does losing the terminal (129); --resume goes on. A second Ctrl-C leaves at once.',
  )
  withOffline(addFlags(command)).option(
    '--config <file>',
    "JSON with settings of the same names in camelCase, or a run's config.json; flags win",
  )
  withOutput(
    command,
    [
      'salora train --model FacebookAI/roberta-base --task sst2 --data glue --density 0.5 --epochs 3',
      'salora train --model ./bert --task reviews.csv --text review --label stars --problem-type regression',
      'salora train --resume --output runs/sst2-salora-1',
    ],
    async (given, terminal) => trainingRun(await trainRequest(given), terminal),
  )
}
