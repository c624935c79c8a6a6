/** A run that is killed and resumed, beside one that is not: a device whose sums depend on time gives other bits. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fileOfStep } from '../../../accelerated/checkpoints/checkpointFile.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import type { Stage, TrialOptions } from '../stage.js'
import { writeTrialRows } from '../trialRows.js'

const [steps, saveSteps] = [20, 5]
const program = fileURLToPath(new URL('../../../cli/salora.js', import.meta.url))

export const resumeStage: Stage = {
  name: 'resume',
  title: 'Killed and resumed',
  run: async (options, folder) => {
    const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')]
    const task = ['--task', await writeTrialRows(options, folder)]
    await train(options, whole, task)
    await train(options, killed, task, join(killed, 'checkpoints', fileOfStep(saveSteps)))
    await train(options, killed, [...task, '--resume'])
    const [uninterrupted, resumed] = [await lossesIn(whole), await lossesIn(killed)]
    const differences = [...uninterrupted].map(([step, loss]) => Math.abs((resumed.get(step) ?? NaN) - loss))
    const [adapter, other] = await Promise.all([whole, killed].map((run) => readFile(join(run, 'adapter/adapter_model.safetensors'))))
    return {
      steps: resumed.size,
      largestDifference: differences.reduce((most, one) => (one > most || Number.isNaN(one) ? one : most), 0),
      sameBits: adapter !== undefined && other !== undefined && adapter.equals(other),
    }
  },
}

/** The loss of each step in metrics.jsonl. */
const lossesIn = async (run: string): Promise<ReadonlyMap<number, number>> => {
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trim().split('\n')
  const events = lines.map((line) => JSON.parse(line) as { readonly kind: string; readonly step: number; readonly taskLoss: number })
  return new Map(events.filter(({ kind }) => kind === 'step').map(({ step, taskLoss }) => [step, taskLoss]))
}

/** Runs `salora train`. With `killAt`, it is killed as soon as that file exists. @throws Error with the last line of a run that ends in another way */
const train = ({ device, small }: TrialOptions, output: string, more: ReadonlyArray<string>, killAt?: string): Promise<void> => {
  const sizes = small ? ['--batch-size', '4', '--max-length', '16'] : ['--batch-size', '16', '--max-length', '64']
  const given = ['--model', embeddedModel, '--method', 'lora', '--device', device, '--output', output]
  const lengths = ['--max-steps', String(steps), '--eval-steps', String(steps), '--save-steps', String(saveSteps)]
  const args = [program, 'train', '--quiet', '--json', ...given, ...lengths, ...sizes, ...more]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-10_000)
  })
  const poll = setInterval(() => {
    if (killAt !== undefined && existsSync(killAt)) child.kill('SIGKILL')
  }, 2)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearInterval(poll)
      if (killAt === undefined ? code === 0 : signal === 'SIGKILL') return resolve()
      const lastLine = errors.trim().split('\n').at(-1) ?? ''
      reject(
        new Error(
          lastLine === ''
            ? `salora train: expected ${killAt === undefined ? 'exit code 0' : 'to be killed'}, got ${signal ?? code}`
            : lastLine,
        ),
      )
    })
  })
}
