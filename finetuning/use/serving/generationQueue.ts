/** Generations of one run: each joins the batch that runs, with its own settings, and leaves it when it ends. */
import { toSentError } from '../../../accelerated/errors/sentError.js'
import type { Generator } from '../generator.js'
import type { GenerationChoice, Reply, ServedPrompt } from './protocol.js'

export type GenerationQueue = {
  readonly add: (id: number, prompt: ServedPrompt, settings: GenerationChoice) => void
  /** Ends a generation after its current token, or before it begins. */
  readonly stop: (id: number) => void
  /** Answers those that wait, and those that join them, until none is left. */
  readonly runNext: () => Promise<void>
}

type Job = { readonly promptTokens: number; readonly stop: AbortController }

export const generationQueue = (
  { encode, batch: openBatch }: Pick<Generator, 'encode' | 'batch'>,
  send: (reply: Reply) => void,
): GenerationQueue => {
  const [batch, open] = [openBatch(), new Map<number, Job>()]
  const reply = (message: Extract<Reply, { readonly kind: 'generated' | 'failed' }>): void => {
    if (open.delete(message.id)) send(message)
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
  return {
    add: (id, prompt, settings) => {
      try {
        const [ids, stop] = [encode(prompt, 'prompt'), new AbortController()]
        batch.add({ prompt: id, ids, settings, draw: 0, signal: stop.signal })
        open.set(id, { promptTokens: ids.length, stop })
      } catch (thrown) {
        send({ kind: 'failed', id, error: toSentError(thrown) })
      }
    },
    stop: (id) => {
      const job = open.get(id)
      reply({ kind: 'generated', id, text: '', tokens: 0, ended: 'aborted', ids: [] })
      job?.stop.abort()
    },
    runNext: () =>
      answerAll().catch((thrown: unknown) => {
        for (const id of [...open.keys()]) reply({ kind: 'failed', id, error: toSentError(thrown) })
      }),
  }
}
