/** Twenty steps of a gated SaLoRA run on the CPU and on the device: how far their losses are apart, and where the nodes ran. A rehearsal takes LoRA. */
import { join } from 'node:path'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { resolveRunOptions, type FinetuneEvent } from '../../../finetuning/runs/run.js'
import { childProcessRun } from '../../cells/childProcessRun.js'
import type { Stage, TrialOptions } from '../stage.js'
import { writeTrialRows } from '../trialRows.js'

const steps = 20

const settingsOf = ({ small }: TrialOptions): SettingsInput => ({
  method: small ? 'lora' : 'salora',
  maxSteps: steps,
  evalSteps: steps,
  batchSize: small ? 4 : 16,
  maxLength: small ? 16 : 64,
  learningRate: 1e-3,
})

export const agreementIn = (name: string, title: string, more: SettingsInput): Stage => ({
  name: `agreement-${name}`,
  title: `Twenty steps on the CPU and on the device, ${title}`,
  run: async (options, folder) => {
    const task = await writeTrialRows(options, folder)
    const [onCpu, onDevice] = [
      await lossesOf({ ...settingsOf(options), device: 'cpu' }, task, join(folder, 'cpu')),
      await lossesOf({ ...settingsOf(options), ...more, device: options.device as 'cuda' }, task, join(folder, 'device')),
    ]
    const differences = onCpu.losses.map((loss, i) => Math.abs((onDevice.losses[i] ?? NaN) - loss))
    return {
      steps: onDevice.losses.length,
      largestDifference: differences.reduce((most, one) => (one > most || Number.isNaN(one) ? one : most), 0),
      lossesOnCpu: onCpu.losses,
      lossesOnDevice: onDevice.losses,
      sameRanks: JSON.stringify(onCpu.ranks) === JSON.stringify(onDevice.ranks),
      placement: onDevice.placement,
    }
  },
})

type Run = { readonly losses: ReadonlyArray<number>; readonly ranks: unknown; readonly placement: unknown }

const lossesOf = async (settings: SettingsInput, task: string, output: string): Promise<Run> => {
  const options = resolveRunOptions({ model: embeddedModel, task: { task }, output, settings })
  const events: FinetuneEvent[] = []
  for await (const event of childProcessRun(options, { signal: new AbortController().signal })) events.push(event)
  return {
    losses: events.flatMap((event) => (event.kind === 'step' ? [event.taskLoss] : [])),
    ranks: events.flatMap((event) => (event.kind === 'result' ? [event.result.ranks ?? {}] : []))[0] ?? null,
    placement: events.find(({ kind }) => kind === 'placement') ?? null,
  }
}
