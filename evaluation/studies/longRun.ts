/**
 * Does a long run stay as fast and as small as it begins? Gated SaLoRA on the embedded model and its sentences, evaluated once, at the end; memory
 * is that of the whole process.
 *
 *   node dist/evaluation/studies/longRun.js [--steps 1000] [--precision float32] [--model DIR]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseSettings } from '../../accelerated/training/settings.js'
import { flatness, leastSteps, type StepSample } from '../benchmark/driftCheck.js'
import { finetune } from '../../finetuning/runs/finetune.js'
import { countFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { embeddedModel, quickstartSettings, quickstartTask } from '../../finetuning/embedded/quickstart.js'

const {
  flags: { steps, precision, model },
} = scriptValues({
  name: 'node dist/evaluation/studies/longRun.js',
  description:
    "Measure whether speed and memory stay constant in a long run: gated SaLoRA on the quickstart's sentences, evaluated once at the end.",
  flags: {
    Options: {
      steps: countFlag('n', 'Training steps', { from: leastSteps, default: 1000 }),
      precision: textFlag('name', 'Numeric precision, as in salora train', { default: 'float32' }),
      model: textFlag('folder|id', 'Model to fine-tune', { default: embeddedModel, defaultText: 'the embedded model' }),
    },
  },
  examples: [{ command: 'node dist/evaluation/studies/longRun.js --steps 300', result: 'Prints the change of speed and memory as JSON.' }],
})
const settings = parseSettings({
  ...quickstartSettings,
  precision,
  maxSteps: steps,
  evalSteps: steps,
  gateStart: 0,
  gateEnd: 1,
})

const folder = await mkdtemp(join(tmpdir(), 'salora-long-'))
const samples: StepSample[] = []
try {
  for await (const event of finetune({ model, task: quickstartTask, settings, output: join(folder, 'run'), resume: false }))
    if (event.kind === 'step') samples.push({ tokensPerSecond: event.tokensPerSecond, residentBytes: process.memoryUsage.rss() })
} finally {
  await rm(folder, { recursive: true, force: true })
}
console.log(JSON.stringify({ steps: samples.length, precision, ...flatness(samples) }, null, 2))
