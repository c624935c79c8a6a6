/** The thread's side of serving: opens the runs, answers requests one after another, and releases everything at the end. */
import { isExpected } from '../../accelerated/errors/expectedErrors.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { toSentError } from '../../accelerated/errors/sentError.js'
import { labelsOf } from '../../accelerated/formats/modelConfig.js'
import { openGenerator, type Generator } from '../adapters/generator.js'
import { openTrainedAdapter, type OpenAdapter } from '../adapters/trainedAdapter.js'
import { taskTypeOf } from '../tasks/taskTypeOf.js'
import type { GenerationChoice, Port, Reply, Request, RunInfo, SentOutcome, ServingOptions } from './protocol.js'
import { runSource, type RunSource } from './runOptions.js'
import { readRunResult } from '../runs/runFiles.js'

type Opened = { readonly info: RunInfo; readonly release: () => Promise<void> } & (
  | { readonly adapter: OpenAdapter }
  | { readonly generator: Generator }
)

/** Serves until `release`. It resolves once everything is freed. */
export const serveThread = async (port: Port<Request, Reply>, { runs, machine }: ServingOptions): Promise<void> => {
  const opened: Opened[] = []
  const releaseAll = async (): Promise<void> => {
    for (const { release } of opened.splice(0)) await release()
  }
  try {
    for (const run of runs) opened.push(await openOne(run, await runSource(run, machine)))
  } catch (thrown) {
    await releaseAll()
    port.send({ kind: 'refused', error: toSentError(thrown) })
    return
  }
  const stops = new Map<number, AbortController>()
  await new Promise<void>((resolve) => {
    let last: Promise<void> = Promise.resolve()
    const inTurn = (work: () => Promise<void>): void => {
      last = last.then(work)
    }
    port.receive((request) => {
      if (request.kind === 'stop') return stops.get(request.id)?.abort()
      if (request.kind === 'release') return inTurn(async () => resolve())
      const { id, run } = request
      const fail = (thrown: unknown): void => port.send({ kind: 'failed', id, error: toSentError(thrown) })
      const one = opened[run]
      if (request.kind === 'predict') return inTurn(() => predict(port, id, one, request.texts).catch(fail))
      const stop = new AbortController()
      stops.set(id, stop)
      inTurn(() =>
        generate(port, id, one, request, stop.signal)
          .catch(fail)
          .finally(() => stops.delete(id)),
      )
    })
    port.send({ kind: 'opened', runs: opened.map(({ info }) => info) })
  })
  await releaseAll()
  port.send({ kind: 'released' })
}

const openOne = async (run: string, { config, adapter: options, columns }: RunSource): Promise<Opened> => {
  const common = { folder: run, model: options.model, method: config.settings.method, columns, batchSize: options.batchSize }
  if (await writesText(run)) {
    const generator = await openGenerator(options)
    const info: RunInfo = {
      ...common,
      ...{ taskType: 'causal', device: generator.device, maxLength: options.maxLength, labelNames: null, answers: 'generate' },
    }
    return { info, generator, release: generator.release }
  }
  const adapter = await openTrainedAdapter(options)
  const taskType = taskTypeOf(adapter.outputs, run)
  const info: RunInfo = {
    ...common,
    ...{ taskType: taskType.name, device: adapter.device, maxLength: adapter.maxLength, answers: 'predict' },
    labelNames: taskType.refuses.labelNames === undefined ? labelsOf(adapter.outputs, adapter.labelNames) : null,
  }
  return { info, adapter, release: adapter.release }
}

const writesText = async (run: string): Promise<boolean> => (await readRunResult(run))?.taskType === 'causal'

const predict = async (port: Port<Request, Reply>, id: number, one: Opened | undefined, texts: Texts): Promise<void> => {
  if (one === undefined || !('adapter' in one))
    throw inputError(one?.info.folder ?? 'predict', 'a run that predicts', 'one that writes text (generate answers its prompts)')
  const { adapter } = one
  const { predictions } = taskTypeOf(adapter.outputs, one.info.folder)
  const names = labelsOf(adapter.outputs, adapter.labelNames)
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
    return { error: toSentError(inputError(one.info.folder, 'finite outputs of model and adapter', output.slice(0, 8).join(', '))) }
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

const generate = async (
  port: Port<Request, Reply>,
  id: number,
  one: Opened | undefined,
  { prompt, settings }: { readonly prompt: Parameters<Generator['encode']>[0]; readonly settings: GenerationChoice },
  signal: AbortSignal,
): Promise<void> => {
  if (one === undefined || !('generator' in one))
    throw inputError(one?.info.folder ?? 'generate', 'a run that writes text', 'one that predicts (predict answers its texts)')
  const ids = one.generator.encode(prompt, 'prompt')
  port.send({ kind: 'started', id, promptTokens: ids.length })
  let text = ''
  if (!signal.aborted)
    for await (const event of one.generator.answers([ids], settings, signal))
      if (event.kind === 'piece') {
        text += event.text
        port.send({ kind: 'piece', id, text: event.text })
      } else return port.send({ kind: 'generated', id, text: event.text, tokens: event.tokens, ended: event.ended })
  port.send({ kind: 'generated', id, text, tokens: 0, ended: 'aborted' })
}
