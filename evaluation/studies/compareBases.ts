/**
 * Is the embedded model worth fine-tuning? The quickstart's run on it, and the same run on a base of the same shape with random weights.
 *
 *   node dist/evaluation/studies/compareBases.js [--seeds 5] [--output runs/bases] [--results FILE] [--jobs 2]
 */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { resolveSettings } from '../../accelerated/training/settings.js'
import { startOfRun } from '../../accelerated/training/initialState.js'
import { compare, comparisonTable } from './comparison.js'
import { countFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { embeddedModel, quickstartSettings } from '../../finetuning/embedded/quickstart.js'
import { pretraining, writeEmbeddedModel } from '../../finetuning/embedded/embeddedModel.js'

const {
  flags: { seeds, output, results, jobs },
} = scriptValues({
  name: 'node dist/evaluation/studies/compareBases.js',
  description: 'Run the quickstart on the embedded model and on a base of the same shape with random weights, and compare their accuracy.',
  flags: {
    Options: {
      seeds: countFlag('n', 'Runs per base, with the seeds 0 to n − 1', { default: 5 }),
      output: textFlag('folder', 'Temporary folder of the runs', { default: 'runs/bases' }),
      results: textFlag('file', 'File of results; runs that it has are not repeated', { default: 'evaluation/results/bases.json' }),
      jobs: countFlag('n', 'Parallel runs, with one thread each', { default: 2 }),
    },
  },
  examples: [
    {
      command: 'node dist/evaluation/studies/compareBases.js --seeds 1',
      result: 'Writes evaluation/results/bases.json and prints both accuracies.',
    },
  ],
})

/** The embedded model as it was before its first step of pre-training. */
const writeRandomBase = async (folder: string): Promise<string> => {
  await mkdir(folder, { recursive: true })
  const { phase, parameters } = await startOfRun(pretraining(), async () => undefined)
  await writeEmbeddedModel(folder, phase, parameters, 'F32')
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(embeddedModel, file), join(folder, file))
  return folder
}

const random = await writeRandomBase(join(output, 'random-base'))
const variants = [
  ['pretrained', embeddedModel],
  ['random', random],
].map(([name = '', model = '']) => ({
  name,
  options: { model, task: { task: 'sentiment' }, settings: resolveSettings({ ...quickstartSettings, threads: 1 }) },
}))
const runs = await compare(
  {
    variants,
    seeds: Array.from({ length: seeds }, (_, i) => i),
    folder: output,
    results,
    command: `node dist/evaluation/studies/compareBases.js --seeds ${seeds}`,
    jobs,
  },
  console.log,
)
console.log(comparisonTable(runs))
console.log(`majority class: ${(100 * (runs[0]?.result.majority?.share ?? NaN)).toFixed(1)} %`)
