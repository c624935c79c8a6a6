/** The names of a task's options: a program may mistype one, which would be ignored in silence. */
import { refuseOtherKeys } from '../../accelerated/errors/otherKeys.js'
import { taskSources } from './sources/index.js'
import type { TaskOptions } from './task.js'

const names: Readonly<Record<keyof TaskOptions, true>> = {
  task: true,
  data: true,
  evalData: true,
  evalShare: true,
  testData: true,
  mixData: true,
  mixWeights: true,
  holdOutSeed: true,
  fold: true,
  maxTrainSamples: true,
  holdOutTrain: true,
  promptTemplate: true,
  truncation: true,
  trainOnInputs: true,
  loss: true,
  lossBeta: true,
  labelSmoothing: true,
  simpoGamma: true,
  desirableWeight: true,
  undesirableWeight: true,
  packing: true,
  positiveLabel: true,
  metricForBestModel: true,
  label: true,
  problemType: true,
  tagNames: true,
  labelNames: true,
  labelsAsText: true,
  skipMissing: true,
  text: true,
  textPair: true,
  delimiter: true,
  quote: true,
  encoding: true,
}

/** @throws InputError for the first other key */
export const checkTaskOptions = (options: object): void => {
  const ofSources = taskSources.flatMap(({ flags = [] }) => flags.map(({ name }) => name))
  refuseOtherKeys(options, [...Object.keys(names), ...ofSources], 'task', 'an option of a task')
}
