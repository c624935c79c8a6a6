/** The thread's side of serving: opens the runs, answers requests one after another, and releases everything at the end. */
import { isExpected } from '../../../accelerated/errors/expectedErrors.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { toSentError } from '../../../accelerated/errors/sentError.js'
import { nameOutputs } from '../../../accelerated/formats/modelConfig.js'
import { findTaskType } from '../../tasks/findTaskType.js'
import type { OpenAdapter } from '../openModel.js'
import { runSource } from '../runSource.js'
import { openBase, type OpenBase, type Opened, openFolder, sharedDevices } from './openServed.js'
import type { Port, Reply, Request, SentOutcome, ServingOptions } from './protocol.js'

/** What is open, by its number in requests; null: it is closed, or the base answers nothing by itself. */
type OpenRuns = (Opened | null)[]

/** Serves until `release`. It resolves once everything is freed. */
export const serveThread = async (port: Port<Request, Reply>, { runs, base, machine }: ServingOptions): Promise<void> => {
  const opened: OpenRuns = []
  const releaseAll = async (): Promise<void> => {
    for (const one of opened.splice(0)) await one?.release()
    await shared?.release()
  }
  let shared: OpenBase | null = null
  try {
    const openDevice = sharedDevices((line, warns) => port.send({ kind: 'placement', line, warns }))
    for (const run of runs) opened.push(await openFolder(port.send, run, await runSource(run, machine), openDevice))
    if (base !== undefined) shared = await openBase(port.send, base, machine, openDevice, (one) => opened.push(one))
  } catch (thrown) {
    await releaseAll()
    port.send({ kind: 'refused', error: toSentError(thrown) })
    return
  }
  await answerRequests(port, opened, shared)
  await releaseAll()
  port.send({ kind: 'released' })
}

/** Answers the requests of each run one after another, and what writes and scores text at once. Resolves at `release`, after the requests before it. */
const answerRequests = (port: Port<Request, Reply>, opened: OpenRuns, shared: OpenBase | null): Promise<void> =>
  new Promise<void>((resolve) => {
    const turns: Promise<void>[] = []
    const inTurn = (run: number, work: () => Promise<void>): void => {
      turns[run] = (turns[run] ?? Promise.resolve()).then(work)
    }
    const beside = (run: number, work: Promise<void>): void => {
      turns[run] = Promise.all([turns[run], work]).then(() => undefined)
    }
    const scoring = new Map<number, AbortController>()
    const startScore = (
      one: Extract<Opened, { readonly generator: object }>,
      request: ScoreCall,
      fail: (thrown: unknown) => void,
    ): void => {
      const stop = new AbortController()
      scoring.set(request.id, stop)
      const scored = score(port, one, request, stop.signal).catch(fail)
      beside(
        request.run,
        scored.then(() => void scoring.delete(request.id)),
      )
    }
    const answer = (request: Extract<Request, { readonly run: number }>): void => {
      const { id, run, kind } = request
      const one = opened[run]
      const fail = (thrown: unknown): void => port.send({ kind: 'failed', id, error: toSentError(thrown) })
      if (one == null) fail(new Error(`serve: expected an open run below ${opened.length}, got ${run}`))
      else if (kind === 'close') {
        opened[run] = null
        inTurn(run, () => one.release().then(() => port.send({ kind: 'closed', id }), fail))
      } else if (kind === 'predict' && 'adapter' in one) inTurn(run, () => predict(port, id, one, request.texts).catch(fail))
      else if (kind === 'generate' && 'generations' in one)
        beside(run, one.generations.add(id, one.generator, request.prompt, request.settings))
      else if (kind === 'score' && 'generator' in one) startScore(one, request, fail)
      else if (kind === 'predict')
        fail(inputError(one.info.folder, 'a run that predicts', 'one that writes text (generate answers its prompts)'))
      else fail(inputError(one.info.folder, 'a run that writes text', 'one that predicts (predict answers its texts)'))
    }
    const open = async ({ id, source }: Extract<Request, { readonly kind: 'open' }>): Promise<void> => {
      try {
        if (shared === null) throw new Error('serve: expected a base that is open, got runs')
        const one = await shared.attach(source)
        port.send({ kind: 'attached', id, run: opened.push(one) - 1, info: one.info })
      } catch (thrown) {
        port.send({ kind: 'failed', id, error: toSentError(thrown) })
      }
    }
    const stop = (id: number): void => {
      scoring.get(id)?.abort()
      for (const one of opened) if (one !== null && 'generations' in one) one.generations.stop(id)
    }
    port.receive((request) => {
      if (request.kind === 'release') void Promise.all(turns).then(() => resolve())
      else if (request.kind === 'stop') stop(request.id)
      else if (request.kind === 'open') void open(request)
      else answer(request)
    })
    port.send({ kind: 'opened', runs: opened.map((one) => one?.info ?? null) })
  })

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
        tokens: each.value.inputIds.length,
      }
    return { error: toSentError(inputError(info.folder, 'finite outputs of model and adapter', output.slice(0, 8).join(', '))) }
  })
  port.send({ kind: 'predicted', id, outcomes })
}

const score = async (
  port: Port<Request, Reply>,
  { generator }: Extract<Opened, { readonly generator: object }>,
  { id, prompt, after, top }: ScoreCall,
  signal: AbortSignal,
): Promise<void> => {
  signal.throwIfAborted()
  const ids = generator.encode(prompt, 'prompt')
  const tokens = await generator.score([...ids, ...after], top, signal)
  signal.throwIfAborted()
  port.send({ kind: 'scored', id, promptTokens: ids.length, tokens })
}

type ScoreCall = Extract<Request, { readonly kind: 'score' }>

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
