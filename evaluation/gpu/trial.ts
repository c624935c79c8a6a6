/**
 * A trial of salora on a machine with a card: devices, agreement, steps beside PEFT, MRPC, and a killed run that resumes.
 * It needs this folder, and no network. It writes trial.json and trial.md after each stage.
 *
 *   node dist/evaluation/gpu/trial.js [--device cuda] [--peer PYTHON] [--model DIR] [--data GLUE] [--output gpu-trial]
 */
import { join } from 'node:path'
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { quoted } from '../../accelerated/errors/inputError.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { countFlag, listFlag, switchFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { absoluteModel, absolutePath } from '../../finetuning/runs/absolutePath.js'
import { runStages } from './runStages.js'
import type { Outcome } from './stage.js'
import { stages } from './stages/index.js'
import { trialPage } from './trialTable.js'

const { flags } = scriptValues({
  name: 'node dist/evaluation/gpu/trial.js',
  description:
    'Try salora on a machine with a card, without a network. The stages are: devices, agreement with the CPU, time and memory of steps, MRPC, and a killed run that resumes. ' +
    'A stage that fails is recorded, and the others run. Writes trial.json and trial.md.',
  flags: {
    Trial: {
      device: textFlag('name', 'Device to try', { default: 'cuda' }),
      peer: textFlag('python', 'Python with torch, transformers and peft', { defaultText: 'salora alone' }),
      model: textFlag('folder', 'Model of the MRPC run', { defaultText: 'the embedded model' }),
      data: textFlag('folder', 'Folder of GLUE with MRPC', { defaultText: 'the embedded sentences' }),
      repeats: countFlag('n', 'Measured steps of each case', { to: 10_000, default: 20 }),
      only: listFlag('names', 'Stages to run, separated by commas', { defaultText: 'all' }),
      small: switchFlag('Take tiny shapes, to rehearse the trial'),
      output: textFlag('folder', 'Folder to write to', { default: 'gpu-trial' }),
    },
  },
  examples: [
    { command: 'node dist/evaluation/gpu/trial.js --device cpu --small', result: 'Rehearses the trial on the processor, without a card.' },
  ],
})
const { device, peer, model, data, repeats, only, small } = flags
deviceOf(device)
const unknown = only?.find((name) => !stages.some((stage) => stage.name === name))
if (unknown !== undefined) throw usageError('--only', `some of ${stages.map(({ name }) => name).join(', ')}`, quoted(unknown))

const output = absolutePath(flags.output)
const folders = { model: model === null ? null : absoluteModel(model), data: data === null ? null : absolutePath(data) }
const options = { device, python: peer, ...folders, repeats: small ? Math.min(repeats, 2) : repeats, small }
const selected = stages.filter(({ name }) => only?.includes(name) ?? true)
/** A run that is in a folder already would be refused. */
const files = join(output, `stages-${Date.now()}`)
await mkdir(files, { recursive: true })
const runner = { program: fileURLToPath(new URL('./stageProcess.js', import.meta.url)), limit: 3_600_000, folder: files }

const outcomes: Outcome[] = []
for await (const outcome of runStages(selected, options, runner)) {
  outcomes.push(outcome)
  console.error(`${outcome.title}: ${'failed' in outcome ? `failed: ${outcome.failed}` : 'done'} (${outcome.seconds.toFixed(0)} s)`)
  await writeFileAtomically(join(output, 'trial.json'), `${JSON.stringify({ options, outcomes }, null, 2)}\n`)
  await writeFileAtomically(join(output, 'trial.md'), trialPage(outcomes, options))
}
console.log(trialPage(outcomes, options))
