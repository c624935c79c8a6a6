/** A whole run on MRPC: its scores, its time and where its nodes ran. Without MRPC's files, on the embedded sentences. */
import { basename, join } from 'node:path'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { resolveRunOptions, type FinetuneEvent } from '../../../finetuning/runs/run.js'
import { childProcessRun } from '../../cells/childProcessRun.js'
import type { Stage } from '../stage.js'
import { writeTrialRows } from '../trialRows.js'

export const mrpcStage: Stage = {
  name: 'mrpc',
  title: 'A run on MRPC',
  run: async ({ device, model, data, small }, folder) => {
    const task = data === null ? { task: await writeTrialRows({ small }, folder) } : { task: 'mrpc', data }
    const options = resolveRunOptions({
      model: model ?? embeddedModel,
      task,
      output: join(folder, 'run'),
      settings: {
        method: 'lora',
        device: device as 'cuda',
        maxLength: small ? 16 : 128,
        ...(small ? { maxSteps: 4, batchSize: 4 } : { epochs: 3 }),
      },
    })
    const events: FinetuneEvent[] = []
    for await (const event of childProcessRun(options, { signal: new AbortController().signal })) events.push(event)
    const result = events.flatMap((event) => (event.kind === 'result' ? [event.result] : []))[0]
    return {
      task: basename(task.task),
      model: options.model,
      scores: result?.best?.scores ?? result?.last.scores ?? null,
      steps: result?.stepsDone ?? null,
      seconds: result?.seconds ?? null,
      peakBytes: result?.peakMemoryBytes ?? null,
      placement: events.find(({ kind }) => kind === 'placement') ?? null,
    }
  },
}
