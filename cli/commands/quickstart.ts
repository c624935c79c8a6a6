/** salora quickstart: the embedded model on the embedded sentences. */
import { Option, type Command } from 'commander'
import { embeddedModel, quickstartSettings, quickstartTask } from '../../evaluation/quickstart.js'
import { withOutput } from '../command.js'
import { addFlags } from '../trainFlags.js'
import { trainingRun } from '../trainingRun.js'
import { trainRequest } from '../trainRequest.js'

const offered = ['density', 'epochs', 'seed', 'device', 'threads', 'output']
const ownSettings = Object.fromEntries(Object.entries({ ...quickstartSettings }).map(([name, value]) => [name, String(value)]))

export const addQuickstart = (command: Command): void => {
  command.description(
    'Fine-tunes the embedded RoBERTa-style encoder on the embedded review sentences (a few minutes on two CPU cores, nothing is downloaded), and shows\n' +
      'the accuracy before and after, the ranks that were found, and where the run is.',
  )
  addFlags(command, offered, { ...ownSettings, output: 'runs/sentiment-salora-<n>' })
  // for tests and for trying the same settings on another model
  command.addOption(new Option('--model <folder>').hideHelp()).addOption(new Option('--max-steps <steps>').hideHelp())
  withOutput(command, ['salora quickstart --density 0.25'], async (given, terminal) => {
    const request = await trainRequest({ model: embeddedModel, ...quickstartTask, ...ownSettings, ...given })
    return trainingRun({ ...request, evaluateStart: true }, terminal)
  })
}
