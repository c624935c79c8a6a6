/** All mutations, by the folder that they are in. */
import type { Areas } from '../mutation.js'
import { checkpoints } from './checkpoints.js'
import { checkpointsTokenizer } from './checkpointsTokenizer.js'
import { cli } from './cli.js'
import { engines } from './engines.js'
import { errors } from './errors.js'
import { evaluation } from './evaluation.js'
import { finetuning } from './finetuning.js'
import { finetuningData } from './finetuningData.js'
import { machines } from './machines.js'
import { finetuningMetrics } from './finetuningMetrics.js'
import { finetuningRuns } from './finetuningRuns.js'
import { finetuningServing } from './finetuningServing.js'
import { finetuningTasks } from './finetuningTasks.js'
import { formats } from './formats.js'
import { generation } from './generation.js'
import { graph } from './graph.js'
import { graphSerialization } from './graphSerialization.js'
import { methods } from './methods.js'
import { models } from './models.js'
import { objectives } from './objectives.js'
import { parameters } from './parameters.js'
import { precisions } from './precisions.js'
import { reference } from './reference.js'
import { reporting } from './reporting.js'
import { schedules } from './schedules.js'
import { storage } from './storage.js'
import { training } from './training.js'
import { web } from './web.js'

export const areas: Areas = {
  reference,
  'accelerated/graph': [...graph, ...graphSerialization],
  'accelerated/methods': methods,
  'accelerated/models': models,
  'accelerated/objectives': objectives,
  'accelerated/training': training,
  'accelerated/parameters': parameters,
  'accelerated/schedules': schedules,
  'accelerated/precisions': precisions,
  'accelerated/generation': generation,
  'accelerated/formats': formats,
  'accelerated/checkpoints': [...checkpoints, ...checkpointsTokenizer],
  'accelerated/storage': storage,
  'accelerated/engines': engines,
  'accelerated/errors': errors,
  finetuning,
  'finetuning/data': finetuningData,
  'finetuning/metrics': finetuningMetrics,
  'finetuning/tasks': finetuningTasks,
  'finetuning/run': finetuningRuns,
  'finetuning/use/serving': finetuningServing,
  'finetuning/machines': machines,
  evaluation,
  reporting,
  web,
  cli,
}
