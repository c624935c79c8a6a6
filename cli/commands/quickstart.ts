/** salora quickstart: the embedded model on the embedded sentences, and a report of the run. */
import { join } from 'node:path'
import { embeddedName } from '../../accelerated/checkpoints/hub/hub.js'
import { quickstartSettings, quickstartTask } from '../../finetuning/embedded/quickstart.js'
import { reason } from '../../accelerated/errors/inputError.js'
import { hidden } from '../../finetuning/commandLine/flag.js'
import { defineCommand } from '../terminal/command.js'
import type { Terminal } from '../terminal/output.js'
import { pickFlags } from '../options/settingFlags.js'
import { allTrainFlags } from '../options/trainFlags.js'
import { trainingRun } from '../terminal/trainingRun.js'
import { trainRequest } from '../options/trainRequest.js'

const defaults = Object.fromEntries(Object.entries(quickstartSettings).map(([name, value]) => [name, String(value)]))
const { model, maxSteps } = pickFlags(allTrainFlags, ['model', 'maxSteps'])

export const quickstart = defineCommand({
  name: 'salora quickstart',
  description:
    'Fine-tune the embedded RoBERTa-style encoder on the embedded review sentences. It takes a minute or two on two CPU cores and downloads nothing.',
  flags: {
    Training: pickFlags(allTrainFlags, ['density', 'epochs', 'seed'], defaults),
    Run: pickFlags(allTrainFlags, ['output'], { output: 'runs/sentiment-salora-<n>' }),
    Machine: pickFlags(allTrainFlags, ['device', 'threads']),
    // for tests, and to try the same settings on another model
    Hidden: { model: hidden(model), maxSteps: hidden(maxSteps) },
  },
  examples: [
    {
      command: 'salora quickstart --density 0.25',
      result: 'Prints the accuracy before and after and the ranks found, and writes runs/sentiment-salora-1 with report.html.',
    },
  ],
  run: async (flags, terminal) => {
    const request = await trainRequest(flags, { model: embeddedName, ...quickstartTask, ...quickstartSettings })
    return trainingRun({ ...request, evalOnStart: true }, terminal, (output) => reportLines(output, terminal))
  },
})

/** report.html in the run folder; a run without a report is still a finished run. */
const reportLines = async (output: string, terminal: Terminal): Promise<readonly string[]> => {
  try {
    const { makeReport } = await import('../../reporting/report/makeReport.js')
    const { resultLines } = await import('./report.js')
    const options = { folders: [output], output: join(output, 'report.html'), figures: null }
    return resultLines(
      await makeReport(options, (event) => {
        if (event.kind === 'warning') terminal.warn(event.message)
      }),
    )
  } catch (thrown) {
    terminal.warn(`no report: ${reason(thrown)}`)
    return []
  }
}
