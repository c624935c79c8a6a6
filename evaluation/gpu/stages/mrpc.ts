/** A whole run on MRPC: its scores, its time and where its nodes ran. Without MRPC's files, on the embedded sentences. */
import { join } from 'node:path'
import { embeddedModel, quickstartTask } from '../../../finetuning/embedded/quickstart.js'
import { resolveRunOptions, type FinetuneEvent } from '../../../finetuning/runs/run.js'
import { childProcessRun } from '../../cells/childProcessRun.js'
import type { Stage } from '../stage.js'

export const mrpcStage: Stage = {
  name: 'mrpc',
  title: 'A run on MRPC',
  run: async ({ device, model, data, small }, folder) => {
    const task = data === null ? quickstartTask : { task: 'mrpc', data }
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
      task: task.task,
      model: options.model,
      scores: result?.best?.scores ?? result?.last.scores ?? null,
      steps: result?.stepsDone ?? null,
      seconds: result?.seconds ?? null,
      peakBytes: result?.peakMemoryBytes ?? null,
      placement: events.find(({ kind }) => kind === 'placement') ?? null,
    }
  },
}
