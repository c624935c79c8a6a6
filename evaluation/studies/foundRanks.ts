/**
 * Are ranks that a short SaLoRA search finds better than random ones? LoRA from scratch on both: the second question of smallBudgets.md.
 *
 *   node dist/evaluation/studies/foundRanks.js --model DIR --data GLUE --steps 1944 [--tasks stsb] [--budgets 0.25] [--search 0.1] [--seeds 3]
 *
 * The search takes a share of the steps, and the run on its ranks the rest. Finished runs are in RESULTS/found-ranks-TASK.json, and are not repeated.
 */
import { join } from 'node:path'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { countFlag, numberFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { budgetOf, randomAllocation } from './allocations.js'
import { compare, type ComparedRun, type Variant } from './comparison.js'
import { scoresHead, scoresRow, smallBudgetOptions } from './smallBudgetRun.js'

const { flags: given } = scriptValues({
  name: 'node dist/evaluation/studies/foundRanks.js',
  description: 'Find ranks by a short SaLoRA run, train LoRA from scratch on them, and do the same on random ranks.',
  flags: {
    Options: {
      model: required(textFlag('folder|id', 'Model to fine-tune'), 'a folder in Hugging Face layout or a hub id'),
      data: required(textFlag('folder', 'Folder of the official GLUE folders'), 'a folder'),
      tasks: textFlag('names', 'GLUE tasks, separated by commas', { default: 'stsb' }),
      budgets: textFlag('ranks', 'Average ranks of all matrices, separated by commas', { default: '0.25' }),
      steps: required(countFlag('n', 'Steps of a whole run; the search counts'), 'the steps of 12 epochs'),
      search: numberFlag('fraction', 'Fraction of the steps for the search', { default: 0.1 }),
      seeds: countFlag('n', 'Runs per cell, with the seeds 0 to n − 1', { default: 3 }),
      output: textFlag('folder', 'Temporary folder of the runs', { default: 'runs/found-ranks' }),
      results: textFlag('folder', 'Folder for found-ranks-TASK.json; runs that it has are not repeated', { default: 'evaluation/results' }),
    },
  },
  examples: [
    {
      command: 'node dist/evaluation/studies/foundRanks.js --model ./minilm --data glue --steps 1944 --seeds 1',
      result: 'Writes evaluation/results/found-ranks-stsb.json, and prints a table.',
    },
  ],
})

/** Components of each matrix in the search. */
const startRank = 8
const searchSteps = Math.round(given.search * given.steps)
const { folder } = await resolveModel(given.model)
const { matrices } = (await openModelFolder(folder)).model.spec

/** Runs of one task and seed, which the results file keeps. */
const train = async (task: string, seed: number, variant: Variant): Promise<ComparedRun> => {
  const [run] = await compare(
    {
      variants: [variant],
      seeds: [seed],
      folder: join(given.output, task),
      results: join(given.results, `found-ranks-${task}.json`),
      command: `node dist/evaluation/studies/foundRanks.js --model DIR --data GLUE --tasks ${task} --steps ${given.steps} --search ${given.search}`,
      jobs: 1,
    },
    (line) => console.log(`${task}: ${line}`),
  )
  if (run === undefined) throw new Error(`foundRanks: expected a result of ${variant.name}, got none`)
  return run
}

const lines: string[] = []
for (const task of given.tasks.split(','))
  for (const budget of given.budgets.split(',').map(Number)) {
    const run = { ...given, task }
    const numbers = budgetOf(matrices, budget)
    const search: Variant = {
      name: `search-${budget}-${given.search}`,
      options: smallBudgetOptions(run, {
        method: 'salora',
        rank: startRank,
        density: budget / startRank,
        maxSteps: searchSteps,
        gateStart: 0.1,
        gateEnd: 0.95,
      }),
    }
    const onRanks = (name: string, rankPattern: Readonly<Record<string, number>>, maxSteps: number): Variant => ({
      name,
      options: smallBudgetOptions(run, { method: 'lora', rank: 1, rankPattern, maxSteps }),
    })
    const cells = new Map<string, ComparedRun[]>()
    for (let seed = 0; seed < given.seeds; seed++) {
      const { ranks } = (await train(task, seed, search)).result
      if (ranks == null) throw new Error(`foundRanks: expected ranks of the search of seed ${seed}, got none`)
      const random = randomAllocation(matrices, numbers, startRank, seed)
      const variants = {
        found: onRanks(`found-${budget}-${given.search}, ranks of seed ${seed}`, ranks, given.steps - searchSteps),
        random: onRanks(`random-${budget}, ranks of seed ${seed}`, random, given.steps),
      }
      for (const [name, variant] of Object.entries(variants))
        cells.set(name, [...(cells.get(name) ?? []), await train(task, seed, variant)])
    }
    for (const [name, runs] of cells) lines.push(scoresRow(task, `${name}-${budget}`, runs))
  }
console.log(scoresHead)
for (const line of lines) console.log(line)
