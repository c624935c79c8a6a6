/** The experiment trackers by their names in --report-to. */
import type { Environment } from '../../../accelerated/checkpoints/hub/hubEnvironment.js'
import { mlflowService } from './mlflow.js'
import type { TrackerService } from './service.js'
import type { TrackerName } from './trackerNames.js'

/** @throws InputError if the environment does not name a server */
export const trackers: Readonly<Record<TrackerName, (environment: Environment) => TrackerService>> = { mlflow: mlflowService }
