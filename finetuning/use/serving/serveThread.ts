/** The thread's side of serving: opens the runs, answers requests one after another, and releases everything at the end. */
import { chooseDevice } from '../../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../../accelerated/engines/devices/device.js'
import { withSharedSessions } from '../../../accelerated/engines/sharedSessions.js'
import { isExpected } from '../../../accelerated/errors/expectedErrors.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { toSentError } from '../../../accelerated/errors/sentError.js'
import { nameOutputs } from '../../../accelerated/formats/modelConfig.js'
import { generatorOn } from '../generator.js'
import { openPredictions } from '../modelSessions.js'
import { type OpenAdapter, openModel, watchedDevice } from '../openModel.js'
import { parseTemplate } from '../../data/promptTemplates.js'
import { findTaskTypeByName, findTaskType } from '../../tasks/findTaskType.js'
import { generationQueue, type GenerationQueue } from './generationQueue.js'
import type { Port, Reply, Request, RunInfo, SentOutcome, ServingOptions } from './protocol.js'
import { runSource, type RunSource } from '../runSource.js'
import type { PlacementReport } from '../../run/devicePlacement.js'
import { readRunResult } from '../../run/runFiles.js'

type Opened = { readonly info: RunInfo; readonly release: () => Promise<void> } & (
  | { readonly adapter: OpenAdapter }
  | { readonly generations: GenerationQueue }
)

/** Serves until `release`. It resolves once everything is freed. */
export const serveThread = async (port: Port<Request, Reply>, { runs, machine }: ServingOptions): Promise<void> => {
  const opened: Opened[] = []
  const releaseAll = async (): Promise<void> => {
    for (const { release } of opened.splice(0)) await release()
  }
  try {
    const openDevice = sharedDevices((line, warns) => port.send({ kind: 'placement', line, warns }))
    for (const run of runs) opened.push(await openOne(port, run, await runSource(run, machine), openDevice))
  } catch (thrown) {
    await releaseAll()
    port.send({ kind: 'refused', error: toSentError(thrown) })
    return
  }
  await answerRequests(port, opened)
  await releaseAll()
  port.send({ kind: 'released' })
}

/** Answers the requests of each run one after another. Resolves at `release`, after the requests before it. */
const answerRequests = (port: Port<Request, Reply>, opened: readonly Opened[]): Promise<void> =>
  new Promise<void>((resolve) => {
    const turns = opened.map((): { last: Promise<void> } => ({ last: Promise.resolve() }))
    const inTurn = (run: number, work: () => Promise<void>): void => {
      const turn = turns[run]
      if (turn !== undefined) turn.last = turn.last.then(work)
    }
    const answer = (request: Extract<Request, { readonly run: number }>): void => {
      const { id, run, kind } = request
      const one = opened[run]
      const fail = (thrown: unknown): void => port.send({ kind: 'failed', id, error: toSentError(thrown) })
      if (one === undefined) fail(new Error(`serve: expected a run below ${opened.length}, got ${run}`))
      else if (kind === 'predict' && 'adapter' in one) inTurn(run, () => predict(port, id, one, request.texts).catch(fail))
      else if (kind === 'generate' && 'generations' in one) {
        one.generations.add(id, request.prompt, request.settings)
        inTurn(run, one.generations.runNext)
      } else if (kind === 'predict')
        fail(inputError(one.info.folder, 'a run that predicts', 'one that writes text (generate answers its prompts)'))
      else fail(inputError(one.info.folder, 'a run that writes text', 'one that predicts (predict answers its texts)'))
    }
    port.receive((request) => {
      if (request.kind === 'release') void Promise.all(turns.map(({ last }) => last)).then(() => resolve())
      else if (request.kind === 'stop') for (const one of opened) 'generations' in one && one.generations.stop(request.id)
      else answer(request)
    })
    port.send({ kind: 'opened', runs: opened.map(({ info }) => info) })
  })

type OpenDevice = (name: string) => Promise<Device>

/** Devices by the names of settings, each opened once, so that runs over one base can share its session. */
const sharedDevices = (onPlacement: PlacementReport): OpenDevice => {
  const devices = new Map<string, Promise<Device>>()
  return (name) => {
    const device = devices.get(name) ?? chooseDevice(name).then((plain) => withSharedSessions(watchedDevice(plain, onPlacement)))
    devices.set(name, device)
    return device
  }
}

const openOne = async (
  port: Port<Request, Reply>,
  run: string,
  { config, adapter: options, columns }: RunSource,
  deviceOf: OpenDevice,
): Promise<Opened> => {
  const common = { folder: run, model: options.model, method: config.settings.method, columns, batchSize: options.batchSize }
  const result = await readRunResult(run) // a run that was interrupted has none, but the best adapter so far
  const writesText = result === null ? undefined : findTaskTypeByName(result.taskType)?.command === 'generate'
  const opened = await openModel(options, { deviceOf, writesText })
  if (writesText ?? opened.trained.adapter.outputs.head === 'causal') {
    const generator = await generatorOn(opened, options)
    const info: RunInfo = {
      ...common,
      ...{ taskType: 'causal', device: generator.device, maxLength: options.maxLength, labelNames: null, answers: 'generate' },
      promptTemplate: config.task.task === 'text' ? null : parseTemplate(config.task),
    }
    return { info, generations: generationQueue(generator, port.send), release: generator.release }
  }
  const adapter = await openPredictions(opened.trained, options, opened.device)
  const taskType = findTaskType(adapter.outputs, run)
  const info: RunInfo = {
    ...common,
    ...{ taskType: taskType.name, device: adapter.device, maxLength: adapter.maxLength, answers: 'predict', promptTemplate: null },
    labelNames: taskType.refuses.labelNames === undefined ? nameOutputs(adapter.outputs, adapter.labelNames) : null,
  }
  return { info, adapter, release: adapter.release }
}

const predict = async (
  port: Port<Request, Reply>,
  id: number,
  { adapter, info }: Extract<Opened, { readonly adapter: OpenAdapter }>,
  texts: Texts,
): Promise<void> => {
  const { predictions } = findTaskType(adapter.outputs, info.folder)
  const names = nameOutputs(adapter.outputs, adapter.labelNames)
  const encoded = texts.map((text) => attempt(() => adapter.encode(text)))
  const answers = await adapter.answer(encoded.flatMap((each) => ('value' in each ? [each.value] : [])))
  let next = 0
  const outcomes = encoded.map((each, i): SentOutcome => {
    if ('error' in each) return { error: toSentError(each.error) }
    const output = answers[next++] ?? []
    if (output.every(Number.isFinite))
      return {
        value: predictions?.predict(output, names, { text: texts[i]?.text ?? '', ...each.value }).json ?? { outputs: output },
        truncated: each.value.truncated === true,
      }
    return { error: toSentError(inputError(info.folder, 'finite outputs of model and adapter', output.slice(0, 8).join(', '))) }
  })
  port.send({ kind: 'predicted', id, outcomes })
}

type Texts = Parameters<OpenAdapter['predict']>[0]

/** What went wrong with one text must not affect the others. A defect does. */
const attempt = <T>(work: () => T): { readonly value: T } | { readonly error: unknown } => {
  try {
    return { value: work() }
  } catch (thrown) {
    if (!isExpected(thrown)) throw thrown
    return { error: thrown }
  }
}
