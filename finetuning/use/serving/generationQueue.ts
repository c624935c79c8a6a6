/** Generations of one run: conversations that wait with the same greedy settings are answered in one batch, others one after another. */
import { toSentError } from '../../../accelerated/errors/sentError.js'
import type { AnswerEvent, Generator } from '../generator.js'
import type { GenerationChoice, Reply, ServedPrompt } from './protocol.js'

export type GenerationQueue = {
  readonly add: (id: number, prompt: ServedPrompt, settings: GenerationChoice) => void
  /** Ends a generation after its current token, or before it begins. */
  readonly stop: (id: number) => void
  /** Answers the next batch of those that wait; nothing if none does. */
  readonly runNext: () => Promise<void>
}

type Job = { readonly id: number; readonly ids: readonly number[]; readonly settings: GenerationChoice; readonly stop: AbortController }

/** Prompts of one batch: more make each token slower for all. */
const largestBatch = 8

export const generationQueue = (
  { encode, answers }: Pick<Generator, 'encode' | 'answers'>,
  send: (reply: Reply) => void,
): GenerationQueue => {
  let waiting: Job[] = []
  const open = new Map<number, Job>()
  const reply = (job: Job, message: Extract<Reply, { readonly kind: 'generated' | 'failed' }>): void => {
    if (open.delete(job.id)) send(message)
  }
  const takeBatch = (): readonly Job[] => {
    const [first] = waiting
    if (first === undefined) return []
    const batch = isGreedy(first.settings) ? waiting.filter(({ settings }) => toKey(settings) === toKey(first.settings)) : [first]
    const taken = batch.slice(0, largestBatch)
    waiting = waiting.filter((job) => !taken.includes(job))
    return taken
  }
  const answer = async (batch: readonly Job[], [{ settings }]: readonly [Job]): Promise<void> => {
    for (const { id, ids } of batch) send({ kind: 'started', id, promptTokens: ids.length })
    const over = new AbortController()
    const endIfNoneWaits = (): void => {
      if (batch.every(({ id }) => !open.has(id))) over.abort()
    }
    for (const { stop } of batch) stop.signal.addEventListener('abort', endIfNoneWaits)
    const prompts = batch.map(({ ids }) => ids)
    for await (const event of answers(prompts, settings, over.signal)) {
      const job = batch[event.prompt]
      if (job !== undefined && open.has(job.id)) deliver(job, event)
      endIfNoneWaits() // those who left may have the longest answers
    }
  }
  const deliver = (job: Job, event: AnswerEvent): void => {
    const { id } = job
    if (event.kind === 'piece') send({ kind: 'piece', id, text: event.text })
    else reply(job, { kind: 'generated', id, text: event.text, tokens: event.tokens, ended: event.ended, ids: event.ids })
  }
  return {
    add: (id, prompt, settings) => {
      try {
        const job: Job = { id, ids: encode(prompt, 'prompt'), settings, stop: new AbortController() }
        open.set(id, job)
        waiting.push(job)
      } catch (thrown) {
        send({ kind: 'failed', id, error: toSentError(thrown) })
      }
    },
    stop: (id) => {
      const job = open.get(id)
      if (job === undefined) return
      waiting = waiting.filter((other) => other !== job)
      reply(job, { kind: 'generated', id, text: '', tokens: 0, ended: 'aborted', ids: [] })
      job.stop.abort()
    },
    runNext: async () => {
      const batch = takeBatch()
      const [first] = batch
      if (first === undefined) return
      try {
        await answer(batch, [first])
      } catch (thrown) {
        for (const job of batch) reply(job, { kind: 'failed', id: job.id, error: toSentError(thrown) })
      }
    },
  }
}

/** A draw depends on the number of its prompt in the batch: only greedy answers are the same in any batch. */
const isGreedy = ({ temperature = null, topK = null, topP = 1 }: GenerationChoice): boolean =>
  (temperature ?? 0) === 0 && topK === null && topP === 1

const toKey = (settings: GenerationChoice): string => JSON.stringify(Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1)))
