/**
 * How much can an allocation of ranks matter? LoRA from scratch on fixed allocations of one budget: the first question of smallBudgets.md.
 *
 *   node dist/evaluation/studies/allocationSpan.js --model DIR --data GLUE [--tasks stsb,mrpc] [--budgets 1,0.25] [--seeds 3] [--jobs 2]
 *
 * Scores are those of a held-out tenth of train after the last epoch. Finished runs are in RESULTS/allocations-TASK.json, and are not repeated.
 */
import { join } from 'node:path'
import { mean, sampleStandardDeviation } from 'simple-statistics'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { parseSettings } from '../../accelerated/training/settings.js'
import { countFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { allocation, allocations, budgetOf } from './allocations.js'
import { compare, type ComparedRun } from './comparison.js'

const { flags: given } = scriptValues({
  name: 'node dist/evaluation/studies/allocationSpan.js',
  description: 'Train LoRA from scratch on fixed allocations of one budget of ranks, and print how far their scores are apart.',
  flags: {
    Options: {
      model: required(textFlag('folder|id', 'Model to fine-tune'), 'a folder in Hugging Face layout or a hub id'),
      data: required(textFlag('folder', 'Folder of the official GLUE folders'), 'a folder'),
      tasks: textFlag('names', 'GLUE tasks, separated by commas', { default: 'stsb,mrpc' }),
      budgets: textFlag('ranks', 'Average ranks of all matrices, separated by commas', { default: '1,0.25' }),
      seeds: countFlag('n', 'Runs per cell, with the seeds 0 to n − 1', { default: 3 }),
      output: textFlag('folder', 'Temporary folder of the runs', { default: 'runs/allocations' }),
      results: textFlag('folder', 'Folder for allocations-TASK.json; runs that it has are not repeated', { default: 'evaluation/results' }),
      jobs: countFlag('n', 'Parallel runs, with one thread each', { default: 2 }),
    },
  },
  examples: [
    {
      command: 'node dist/evaluation/studies/allocationSpan.js --model ./minilm --data glue --tasks stsb --budgets 1 --seeds 1',
      result: 'Writes evaluation/results/allocations-stsb.json, and prints a table.',
    },
  ],
})

const { folder } = await resolveModel(given.model)
const { matrices } = (await openModelFolder(folder)).model.spec

const variants = (task: string, budget: number) =>
  Object.entries(allocations).map(([name, uses]) => ({
    name: `${name}-${budget}`,
    options: {
      model: given.model,
      task: { task, data: given.data, holdOutTrain: true },
      settings: parseSettings({
        method: 'lora',
        precision: 'int8',
        rank: 1,
        loraAlpha: 2,
        rankPattern: allocation(matrices, uses, budgetOf(matrices, budget)),
        epochs: 12,
        learningRate: 3e-4,
        batchSize: 32,
        maxLength: 128,
        threads: 1,
      }),
    },
  }))

/** The task's first metric after the last epoch, in points. */
const scoreOf = ({ result: { last } }: ComparedRun): number => 100 * (Object.values(last.scores)[0] ?? NaN)

const row = (task: string, runs: ReadonlyArray<ComparedRun>, name: string): string => {
  const of = runs.filter(({ variant }) => variant === name)
  const scores = of.map(scoreOf)
  const error = scores.length < 2 ? NaN : sampleStandardDeviation(scores) / Math.sqrt(scores.length)
  const parameters = of[0]?.result.trainableParameters['adapter'] ?? NaN
  const cells = [task, name, parameters, scores.map((score) => score.toFixed(2)).join(', '), mean(scores).toFixed(2), error.toFixed(2)]
  return `| ${cells.join(' | ')} |`
}

const lines: string[] = []
for (const task of given.tasks.split(','))
  for (const budget of given.budgets.split(',').map(Number)) {
    const cells = variants(task, budget)
    const runs = await compare(
      {
        variants: cells,
        seeds: Array.from({ length: given.seeds }, (_, i) => i),
        folder: join(given.output, task),
        results: join(given.results, `allocations-${task}.json`),
        command: `node dist/evaluation/studies/allocationSpan.js --model DIR --data GLUE --tasks ${task} --seeds ${given.seeds}`,
        jobs: given.jobs,
      },
      (line) => console.log(`${task}: ${line}`),
    )
    for (const { name } of cells) if (runs.some(({ variant }) => variant === name)) lines.push(row(task, runs, name))
  }
console.log('| task | allocation and budget | numbers | scores by seed | mean | standard error |\n| --- | --- | --- | --- | --- | --- |')
for (const line of lines) console.log(line)
