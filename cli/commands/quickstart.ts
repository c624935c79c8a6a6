/** salora quickstart: the embedded model on the embedded sentences, and a report of the run. */
import { join } from 'node:path'
import { Option, type Command } from 'commander'
import { embeddedModel, quickstartSettings, quickstartTask } from '../../finetuning/embedded/quickstart.js'
import { reason } from '../../accelerated/errors/inputError.js'
import { lazyImport } from '../../accelerated/errors/lazyImport.js'
import { withOutput } from '../terminal/command.js'
import type { Terminal } from '../terminal/output.js'
import { addFlags } from '../options/trainFlags.js'
import { trainingRun } from '../terminal/trainingRun.js'
import { trainRequest } from '../options/trainRequest.js'

const offered = ['density', 'epochs', 'seed', 'device', 'threads', 'output']
const ownSettings = Object.fromEntries(Object.entries({ ...quickstartSettings }).map(([name, value]) => [name, String(value)]))

export const addQuickstart = (command: Command): void => {
  command.description(
    'Fine-tunes the embedded RoBERTa-style encoder on the embedded review sentences (a few minutes on two CPU cores, nothing is downloaded), and shows ' +
      'the accuracy before and after, the ranks that were found, and where the run and its report are.',
  )
  addFlags(command, offered, { ...ownSettings, output: 'runs/sentiment-salora-<n>' })
  // for tests and for trying the same settings on another model
  command.addOption(new Option('--model <folder>').hideHelp()).addOption(new Option('--max-steps <steps>').hideHelp())
  withOutput(command, ['salora quickstart --density 0.25'], async (given, terminal) => {
    const request = await trainRequest({ model: embeddedModel, ...quickstartTask, ...ownSettings, ...given })
    return trainingRun({ ...request, evalOnStart: true }, terminal, (output) => reportLines(output, terminal))
  })
}

/** report.html in the run's folder; the run is done, and stays so where no report can be made. */
const reportLines = async (output: string, terminal: Terminal): Promise<ReadonlyArray<string>> => {
  try {
    const { makeReport } = await lazyImport(import('../../reporting/report/report.js'))
    const { resultLines } = await lazyImport(import('../format/report.js'))
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
