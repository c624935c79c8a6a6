/**
 * How much can an allocation of ranks matter? LoRA from scratch on fixed allocations of one budget: the first question of smallBudgets.md.
 *
 *   node dist/evaluation/studies/allocationSpan.js --model DIR --data GLUE [--tasks stsb,mrpc] [--budgets 1,0.25] [--allocations uniform,attention] [--seeds 3] [--jobs 2]
 *
 * Scores are those of a held-out tenth of train after the last epoch. Finished runs are in RESULTS/allocations-TASK.json, and are not repeated.
 */
import { join } from 'node:path'
import { InputError } from '../../accelerated/errors/inputError.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { countFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { allocation, allocations, budgetOf, type Uses } from './allocations.js'
import { compare } from './comparison.js'
import { scoresHead, scoresRow, smallBudgetOptions } from './smallBudgetRun.js'

const { flags: given } = scriptValues({
  name: 'node dist/evaluation/studies/allocationSpan.js',
  description: 'Train LoRA from scratch on fixed allocations of one budget of ranks, and print how far their scores are apart.',
  flags: {
    Options: {
      model: required(textFlag('folder|id', 'Model to fine-tune'), 'a folder in Hugging Face layout or a hub id'),
      data: required(textFlag('folder', 'Folder of the official GLUE folders'), 'a folder'),
      tasks: textFlag('names', 'GLUE tasks, separated by commas', { default: 'stsb,mrpc' }),
      budgets: textFlag('ranks', 'Average ranks of all matrices, separated by commas', { default: '1,0.25' }),
      allocations: textFlag('names', 'Allocations, separated by commas', { default: Object.keys(allocations).join(',') }),
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

const usesOf = (name: string): Uses => {
  const uses = allocations[name]
  if (uses === undefined) throw new InputError('--allocations', `one of ${Object.keys(allocations).join(', ')}`, name)
  return uses
}

const variants = (task: string, budget: number) =>
  given.allocations.split(',').map((name) => ({
    name: `${name}-${budget}`,
    options: smallBudgetOptions(
      { ...given, task },
      { method: 'lora', rank: 1, rankPattern: allocation(matrices, usesOf(name), budgetOf(matrices, budget)) },
    ),
  }))

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
    for (const { name } of cells)
      lines.push(
        scoresRow(
          task,
          name,
          runs.filter(({ variant }) => variant === name),
        ),
      )
  }
console.log(scoresHead)
for (const line of lines) console.log(line)
