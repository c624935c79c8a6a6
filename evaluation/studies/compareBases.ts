/**
 * Is the embedded model worth fine-tuning? The quickstart's run on it, and the same run on a base of the same shape with random weights.
 *
 *   node dist/evaluation/studies/compareBases.js [--seeds 5] [--output runs/bases] [--results FILE] [--jobs 2]
 */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { resolveSettings } from '../../accelerated/training/settings.js'
import { startOfRun } from '../../accelerated/training/state.js'
import { compare, comparisonTable } from './comparison.js'
import { scriptArguments } from '../../finetuning/commandLine/scriptArguments.js'
import { embeddedModel, quickstartSettings } from '../../finetuning/embedded/quickstart.js'
import { pretraining, writeEmbeddedModel } from '../../finetuning/embedded/embeddedModel.js'

const { seeds, output, results, jobs } = scriptArguments({
  name: 'evaluation/studies/compareBases',
  about: 'Is the embedded model worth fine-tuning? The quickstart’s run on it, and on a base of the same shape with random weights.',
  flags: {
    seeds: { shows: 'N', about: 'runs of each: 0 to N − 1', default: 5 },
    output: { shows: 'DIR', about: 'where runs have their folders while they last', default: 'runs/bases' },
    results: { shows: 'FILE', about: 'what stands there is not run again', default: 'evaluation/results/bases.json' },
    jobs: { shows: 'N', about: 'runs side by side, each with one thread', default: 2 },
  },
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
