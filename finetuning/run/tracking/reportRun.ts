/** Reports the events of a run to an experiment tracker, beside what the run writes itself. The run does not depend on it. */
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import type { Environment } from '../../../accelerated/storage/nodeFiles.js'
import { InputError, reason } from '../../../accelerated/errors/inputError.js'
import { writeFileAtomically } from '../../../accelerated/storage/atomicFile.js'
import { parseJson } from '../../../accelerated/storage/json.js'
import { readText } from '../../../accelerated/storage/text.js'
import { fileInFolder } from '../../../accelerated/storage/paths.js'
import type { FinetuneEvent, FinetuneOptions, RunConfig, RunResult } from '../run.js'
import { readRunConfig } from '../runFiles.js'
import { toMetricsLine, pickNumbers, toScalars, type Scalars } from '../metricsLine.js'
import { senderLimits, startSender, type Sender, type SenderLimits } from './sender.js'
import { type RunStatus, type StoredRun, type TrackerService, trackerFile, trackerNames } from './service.js'
import { mlflowService } from './mlflow.js'

const [trackerName] = trackerNames

/**
 * The events of the run, with the tracker's notices among them. A resumed run continues the tracker's run that its folder names.
 * @throws InputError before the first event if a requested tracker has no server
 */
export async function* reportRun(
  options: FinetuneOptions,
  events: AsyncIterable<FinetuneEvent>,
  environment: Environment = process.env,
  limits: SenderLimits = senderLimits,
): AsyncGenerator<FinetuneEvent, void> {
  const tracker = await openTracker(options, environment)
  if (typeof tracker === 'string') yield { kind: 'warning', message: tracker }
  if (tracker === null || typeof tracker === 'string') {
    yield* events
    return
  }
  let sender: Sender | null = null
  let status: RunStatus = 'KILLED' // the loop was left early
  let isClosed = false
  const close = async (): Promise<void> => {
    if (isClosed) return
    isClosed = true
    await sender?.close(status)
  }
  function* notices(): Generator<FinetuneEvent> {
    for (const { kind, text } of sender?.takeNotices() ?? [])
      yield kind === 'url' ? { kind: 'tracking', tracker: trackerName, url: text } : { kind: 'warning', message: text }
  }
  try {
    for await (const event of events) {
      if (event.kind === 'start') sender = await startReport(options, tracker, limits)
      sender?.add(toPoints(event))
      if (event.kind === 'result') {
        status = event.result.interrupted ? 'KILLED' : 'FINISHED'
        await close()
      }
      yield* notices()
      yield event
    }
  } catch (error) {
    status = 'FAILED'
    await close()
    yield* notices()
    throw error
  } finally {
    await close()
  }
}

type Tracker = { readonly service: TrackerService; readonly earlier: StoredRun | null }

/** The tracker that is asked for, or with `resume` that the folder names; null without one, and a warning where it is no longer known. */
const openTracker = async (
  { output, resume = false, reportTo = [] }: FinetuneOptions,
  environment: Environment,
): Promise<Tracker | string | null> => {
  const isRequested = reportTo.includes(trackerName)
  try {
    const earlier = resume ? await storedRun(output) : null
    return isRequested || earlier !== null ? { service: mlflowService(environment), earlier } : null
  } catch (error) {
    if (isRequested || !(error instanceof InputError)) throw error
    return `${reason(error)}; the run is no longer reported to ${trackerName}`
  }
}

const storedSchema = z.record(z.string().max(100), z.string().max(10_000))

/** @throws InputError for a file that is damaged */
const storedRun = async (output: string): Promise<StoredRun | null> => {
  const file = await fileInFolder(output, trackerFile(trackerName))
  if (file === undefined) return null
  const { data } = storedSchema.safeParse(parseJson(await readText(file, 100_000), file))
  return data ?? {}
}

/** At the event `start`, the folder is the run's own, and config.json is written. */
const startReport = async ({ output }: FinetuneOptions, { service, earlier }: Tracker, limits: SenderLimits): Promise<Sender> => {
  const config = await readRunConfig(output)
  const store = (run: StoredRun): Promise<void> =>
    writeFileAtomically(join(output, trackerFile(trackerName)), `${JSON.stringify(run, null, 2)}\n`)
  return startSender(service, { name: basename(resolve(output)), params: config === null ? {} : toParams(config), earlier, store }, limits)
}

const toParams = ({ model, revision, adapter, task, device, settings }: RunConfig): Readonly<Record<string, string>> => {
  const all: Readonly<Record<string, unknown>> = { model, revision, adapter, ...task, ...settings, device }
  return Object.fromEntries(
    Object.entries(all)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  )
}

const toPoints = (event: FinetuneEvent): Parameters<Sender['add']>[0] => {
  const timestamp = Date.now()
  return steppedScalars(event).flatMap(({ step, scalars }) =>
    scalars.flatMap(([key, value]) => (Number.isFinite(value) ? [{ key, value, step, timestamp }] : [])),
  )
}

const steppedScalars = (event: FinetuneEvent): readonly { readonly step: number; readonly scalars: Scalars }[] => {
  if (event.kind === 'step' || event.kind === 'evaluation') return [{ step: event.step, scalars: toScalars(toMetricsLine(event)) }]
  if (event.kind === 'test') return [{ step: event.step, scalars: toScalars(event) }]
  return event.kind === 'result' ? resultScalars(event.result) : []
}

const resultScalars = ({ best, stepsDone, retainedDensity, interrupted }: RunResult) => [
  ...(best === null ? [] : [{ step: best.step, scalars: pickNumbers('best', best.scores) }]),
  ...(interrupted ? [] : [{ step: stepsDone, scalars: pickNumbers('result', { retainedDensity }) }]),
]
