/** Opens runs, or a base and its adapters, in one thread: predictions of each run share batches, and texts join the batch that runs. */
import { fromSentError } from '../../../accelerated/errors/sentError.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import type { TokenLogprob } from '../generator.js'
import type { Text } from '../../tasks/taskType.js'
import { microBatcher, type MicroBatcher, type Outcome } from './microBatcher.js'
import type {
  AdapterSource,
  GeneratedText,
  GenerationChoice,
  RunInfo,
  ScoreRequest,
  Scores,
  ServedPrompt,
  ServingOptions,
} from './protocol.js'
import { callThread, type ThreadCalls, type ThreadNotes } from './threadCalls.js'

/** A prediction, whether its text was longer than the model reads, and the tokens that it read. */
export type Answered = { readonly value: object; readonly truncated: boolean; readonly tokens: number }

export type GenerationListener = {
  readonly onPiece: (text: string, logprobs?: readonly TokenLogprob[]) => void
  /** Called when the prompt is about to be read. */
  readonly onStart?: (promptTokens: number) => void
}

export type ServedRun = {
  readonly info: RunInfo
  /** calls that wait or run */
  readonly pending: () => number
  readonly predict: MicroBatcher<Text, Answered>['call']
  /** An aborted signal ends it after the current token. */
  readonly generate: (
    prompt: ServedPrompt,
    settings: GenerationChoice,
    listener: GenerationListener,
    signal?: AbortSignal,
  ) => Promise<GeneratedText>
  /** Log-probabilities of a prompt's tokens, and of those of an answer to it. */
  readonly score: (request: ScoreRequest, signal?: AbortSignal) => Promise<Scores>
  /** Resolves when no call waits or runs. */
  readonly idle: () => Promise<void>
  /** Refuses later calls, waits for the others, and frees what is the run's alone. It may be called again. */
  readonly close: () => Promise<void>
}

export type ServedRuns = {
  /** Of a base and its adapters, the base comes first; null: it answers nothing by itself. */
  readonly runs: readonly (ServedRun | null)[]
  /** Opens one more adapter of the base, beside the calls that run. @throws InputError with one line; nothing has changed then */
  readonly attach: (source: AdapterSource) => Promise<ServedRun>
  /** Waits for all calls, frees everything and ends the thread. It may be called again. */
  readonly release: () => Promise<void>
  /** Resolves with the reason if the thread dies, or if the files of a model have changed. */
  readonly died: Promise<Error>
}

/** @throws InputError, SettingsError or DeviceError with one line for the first run that does not open */
export const openRuns = async (options: ServingOptions, notes: ThreadNotes = {}): Promise<ServedRuns> => {
  const thread = callThread(options, notes)
  const infos = await thread.opened.catch(async (thrown: unknown) => {
    await thread.end()
    throw thrown
  })
  let isReleased = false
  const open = new Set<ServedRun>()
  const serve = (info: RunInfo, run: number): ServedRun => {
    const served = untilClose(
      servedRun(thread, info, run),
      () => isReleased,
      () => open.delete(served),
    )
    open.add(served)
    return served
  }
  const runs = infos.map((info, run) => (info === null ? null : serve(info, run)))
  const attaching = new Set<Promise<ServedRun>>()
  let releasing: Promise<void> | null = null
  const releaseNow = async (): Promise<void> => {
    isReleased = true
    await Promise.allSettled(attaching)
    for (const { idle } of open) await idle()
    await thread.end()
  }
  return {
    runs,
    died: thread.died,
    attach: (source) => {
      const attached = thread
        .ask(
          (id) => ({ kind: 'open', id, source }),
          (reply) => (reply.kind === 'attached' ? reply : undefined),
        )
        .then(({ info, run }) => serve(info, run))
        .finally(() => attaching.delete(attached))
      attaching.add(attached)
      return attached
    },
    release: () => (releasing ??= releaseNow()),
  }
}

/** The run, whose calls after `close` or the release of all are refused. */
const untilClose = (run: ServedRun, isReleased: () => boolean, onClose: () => void): ServedRun => {
  let closing: Promise<void> | null = null
  const refuseClosed = (): void => {
    if (closing !== null || isReleased()) throw inputError(run.info.folder, 'calls before release', 'one after it')
  }
  return {
    ...run,
    predict: async (...call) => {
      refuseClosed()
      return run.predict(...call)
    },
    generate: async (...call) => {
      refuseClosed()
      return run.generate(...call)
    },
    score: async (...call) => {
      refuseClosed()
      return run.score(...call)
    },
    close: () => {
      closing ??= run.idle().then(run.close).finally(onClose)
      return closing
    },
  }
}

const pickText = ({ text, tokens, ended, ids, logprobs }: GeneratedText): GeneratedText => ({
  ...{ text, tokens, ended, ids },
  ...(logprobs && { logprobs }),
})

const servedRun = ({ ask }: ThreadCalls, info: RunInfo, run: number): ServedRun => {
  const predictBatch = (texts: readonly Text[]): Promise<readonly Outcome<Answered>[]> =>
    ask(
      (id) => ({ kind: 'predict', id, run, texts }),
      (reply) =>
        reply.kind === 'predicted'
          ? reply.outcomes.map((one): Outcome<Answered> => ('error' in one ? { error: fromSentError(one.error) } : { value: one }))
          : undefined,
    )
  const batcher = microBatcher(predictBatch, info.batchSize)
  const generations = new Set<Promise<unknown>>()
  const generate: ServedRun['generate'] = async (prompt, settings, { onPiece, onStart }, signal) => {
    const answer = ask(
      (id) => ({ kind: 'generate', id, run, prompt, settings }),
      (reply): GeneratedText | undefined => {
        if (reply.kind === 'started') onStart?.(reply.promptTokens)
        if (reply.kind === 'piece') onPiece(reply.text, reply.logprobs)
        return reply.kind === 'generated' ? pickText(reply) : undefined
      },
      signal,
    )
    return counted(answer)
  }
  const counted = <T>(answer: Promise<T>): Promise<T> => {
    generations.add(answer)
    return answer.finally(() => generations.delete(answer))
  }
  return {
    info,
    generate,
    score: (request, signal) =>
      counted(
        ask(
          (id) => ({ kind: 'score', id, run, ...request }),
          (reply) => (reply.kind === 'scored' ? { promptTokens: reply.promptTokens, tokens: reply.tokens } : undefined),
          signal,
        ),
      ),
    predict: batcher.call,
    pending: () => batcher.pending() + generations.size,
    idle: async () => {
      await batcher.idle()
      await Promise.allSettled(generations)
    },
    close: () =>
      ask(
        (id) => ({ kind: 'close', id, run }),
        (reply) => (reply.kind === 'closed' ? true : undefined),
      ).then(() => undefined),
  }
}
