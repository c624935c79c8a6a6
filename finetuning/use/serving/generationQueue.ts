/** Generations of one decoder: each joins the batch that runs, with its own settings and adapter, and leaves it when it ends. */
import type { AnswerBatch } from '../../../accelerated/generation/answers.js'
import { toSentError } from '../../../accelerated/errors/sentError.js'
import type { Generator } from '../generator.js'
import type { GenerationChoice, Reply, ServedPrompt } from './protocol.js'

export type GenerationQueue = {
  /** Resolves once it is answered, or has left. */
  readonly add: (
    id: number,
    generator: Pick<Generator, 'encode' | 'adapter'>,
    prompt: ServedPrompt,
    settings: GenerationChoice,
  ) => Promise<void>
  /** Ends a generation after its current token, or before it begins. */
  readonly stop: (id: number) => void
  /** Resolves once nothing runs. */
  readonly idle: () => Promise<void>
}

type Job = { readonly promptTokens: number; readonly stop: AbortController; readonly done: () => void }

export const generationQueue = (batch: AnswerBatch, send: (reply: Reply) => void): GenerationQueue => {
  const open = new Map<number, Job>()
  let running = Promise.resolve()
  const reply = (message: Extract<Reply, { readonly kind: 'generated' | 'failed' }>): void => {
    const job = open.get(message.id)
    if (job === undefined) return // it has left
    open.delete(message.id)
    send(message)
    job.done()
  }
  const answerAll = async (): Promise<void> => {
    for await (const event of batch.events()) {
      const { prompt: id, ...rest } = event
      const job = open.get(id)
      if (job === undefined) continue // it has left
      if (rest.kind === 'begun') send({ kind: 'started', id, promptTokens: job.promptTokens })
      else if (rest.kind === 'piece') send({ ...rest, id })
      else reply(rest.kind === 'failed' ? { kind: 'failed', id, error: toSentError(rest.error) } : { ...rest, id, kind: 'generated' })
    }
  }
  const failAll = (thrown: unknown): void => {
    for (const id of [...open.keys()]) reply({ kind: 'failed', id, error: toSentError(thrown) })
  }
  return {
    add: (id, { encode, adapter }, prompt, settings) =>
      new Promise((done) => {
        try {
          const [ids, stop] = [encode(prompt, 'prompt'), new AbortController()]
          batch.add({ prompt: id, ids, settings, draw: 0, adapter, signal: stop.signal })
          open.set(id, { promptTokens: ids.length, stop, done })
          running = running.then(answerAll).catch(failAll) // those that join meanwhile are answered too
        } catch (thrown) {
          send({ kind: 'failed', id, error: toSentError(thrown) })
          done()
        }
      }),
    stop: (id) => {
      const job = open.get(id)
      reply({ kind: 'generated', id, text: '', tokens: 0, ended: 'aborted', ids: [] })
      job?.stop.abort()
    },
    idle: () => running,
  }
}
