/** Reports the events of a run to experiment trackers, beside what the run writes itself. The run does not depend on them. */
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
import { type RunStatus, type StoredRun, type TrackerService, trackerFile, trackerNames, type TrackerName } from './service.js'
import { mlflowService } from './mlflow.js'

/**
 * The events of the run, with the trackers' notices among them. A resumed run continues the trackers' runs that its folder names.
 * @throws InputError before the first event if a requested tracker has no server
 */
export async function* reportRun(
  options: FinetuneOptions,
  events: AsyncIterable<FinetuneEvent>,
  environment: Environment = process.env,
  limits: SenderLimits = senderLimits,
): AsyncGenerator<FinetuneEvent, void> {
  const { reported, warnings } = await reportedTrackers(options, environment)
  for (const message of warnings) yield { kind: 'warning', message }
  if (reported.length === 0) {
    yield* events
    return
  }
  const senders: Tracked[] = []
  let status: RunStatus = 'KILLED' // the loop was left early
  try {
    for await (const event of events) {
      if (event.kind === 'start') for (const one of reported) senders.push(await startTracked(options, one, limits))
      for (const { sender } of senders) sender.add(toPoints(event))
      if (event.kind === 'result') {
        status = event.result.interrupted ? 'KILLED' : 'FINISHED'
        await closeAll(senders, status)
      }
      yield* drainNotices(senders)
      yield event
    }
  } catch (error) {
    status = 'FAILED'
    await closeAll(senders, status)
    yield* drainNotices(senders)
    throw error
  } finally {
    await closeAll(senders, status)
  }
}

type Reported = { readonly name: TrackerName; readonly service: TrackerService; readonly earlier: StoredRun | null }
type Tracked = { readonly name: TrackerName; readonly sender: Sender; closed: boolean }

/** The trackers that are asked for, and with `resume` those that the folder names. */
const reportedTrackers = async (
  { output, resume = false, reportTo = [] }: FinetuneOptions,
  environment: Environment,
): Promise<{ readonly reported: readonly Reported[]; readonly warnings: readonly string[] }> => {
  const [reported, warnings]: [Reported[], string[]] = [[], []]
  for (const name of trackerNames) {
    const isRequested = reportTo.includes(name)
    try {
      const earlier = resume ? await storedRun(output, name) : null
      if (isRequested || earlier !== null) reported.push({ name, service: trackers[name](environment), earlier })
    } catch (error) {
      if (isRequested || !(error instanceof InputError)) throw error
      warnings.push(`${reason(error)}; the run is no longer reported to ${name}`)
    }
  }
  return { reported, warnings }
}

const storedSchema = z.record(z.string().max(100), z.string().max(10_000))

/** @throws InputError for a file that is damaged */
const storedRun = async (output: string, name: TrackerName): Promise<StoredRun | null> => {
  const file = await fileInFolder(output, trackerFile(name))
  if (file === undefined) return null
  const { data } = storedSchema.safeParse(parseJson(await readText(file, 100_000), file))
  return data ?? {}
}

/** At the event `start`, the folder is the run's own, and config.json is written. */
const startTracked = async ({ output }: FinetuneOptions, { name, service, earlier }: Reported, limits: SenderLimits): Promise<Tracked> => {
  const config = await readRunConfig(output)
  const sender = startSender(
    service,
    {
      name: basename(resolve(output)),
      params: config === null ? {} : toParams(config),
      earlier,
      store: (run) => writeFileAtomically(join(output, trackerFile(name)), `${JSON.stringify(run, null, 2)}\n`),
    },
    limits,
  )
  return { name, sender, closed: false }
}

/** Every setting, each as a text. */
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

/** The best scores, and what the budget left. */
const resultScalars = ({ best, stepsDone, retainedDensity, interrupted }: RunResult) => [
  ...(best === null ? [] : [{ step: best.step, scalars: pickNumbers('best', best.scores) }]),
  ...(interrupted ? [] : [{ step: stepsDone, scalars: pickNumbers('result', { retainedDensity }) }]),
]

const closeAll = async (senders: readonly Tracked[], status: RunStatus): Promise<void> => {
  await Promise.all(
    senders.map(async (one) => {
      if (one.closed) return
      one.closed = true
      await one.sender.close(status)
    }),
  )
}

function* drainNotices(senders: readonly Tracked[]): Generator<FinetuneEvent> {
  for (const { name, sender } of senders)
    for (const { kind, text } of sender.takeNotices())
      yield kind === 'url' ? { kind: 'tracking', tracker: name, url: text } : { kind: 'warning', message: text }
}

// The experiment trackers by their names in --report-to.
/** @throws InputError if the environment does not name a server */
const trackers: Readonly<Record<TrackerName, (environment: Environment) => TrackerService>> = { mlflow: mlflowService }
