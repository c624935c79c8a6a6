/** What a run's queue of generations replies: to those that wait and run, to one who leaves, and where the prompt or the model is at fault. */
import { describe, expect, it } from 'vitest'
import type { AnswerBatch, AnswerBatchEvent, AnswerRequest } from '../../accelerated/generation/answers.js'
import { generationQueue } from '../../finetuning/use/serving/generationQueue.js'
import type { GenerationChoice, Reply, ServedPrompt } from '../../finetuning/use/serving/protocol.js'

/** A queue whose batch gives these events, and what it was asked and replied. */
const opened = (events: () => AnswerBatch['events'] extends () => infer E ? E : never) => {
  const [asked, replies]: [AnswerRequest[], Reply[]] = [[], []]
  const encode = (prompt: object): readonly number[] => {
    if ('text' in prompt && prompt.text === '') throw new Error('empty')
    return [1, 2]
  }
  const queue = generationQueue({ add: (one) => void asked.push(one), events }, (reply) => replies.push(reply))
  const add = (id: number, prompt: ServedPrompt, settings: GenerationChoice) => queue.add(id, { encode, adapter }, prompt, settings)
  return { queue, add, asked, replies }
}
const adapter = { rank: 0, factors: new Map() }
const answered = (prompt: number): AnswerBatchEvent => ({ kind: 'answer', prompt, text: 'text', tokens: 1, ended: 'end', ids: [7] })

describe('a queue of generations', () => {
  it('hands each prompt to the batch with its own settings and the draws of a text alone, and replies by its id', async () => {
    const { add, asked, replies } = opened(async function* () {
      yield { kind: 'begun', prompt: 4 }
      yield { kind: 'piece', prompt: 4, text: 'te' }
      yield { kind: 'failed', prompt: 9, error: new Error('only NaN') }
      yield answered(4)
    })
    await Promise.all([add(4, { text: 'a' }, { seed: 3 }), add(9, { text: 'b' }, { temperature: 1 })])
    expect(asked).toMatchObject([
      { prompt: 4, draw: 0, adapter, settings: { seed: 3 } },
      { prompt: 9, draw: 0, settings: { temperature: 1 } },
    ])
    expect(replies).toMatchObject([
      { kind: 'started', id: 4, promptTokens: 2 },
      { kind: 'piece', id: 4, text: 'te' },
      { kind: 'failed', id: 9, error: { message: 'only NaN' } },
      { kind: 'generated', id: 4, text: 'text', ids: [7] },
    ])
  })

  it('answers one who leaves, and a prompt that cannot be read, at once, and nobody twice', async () => {
    const { queue, add, asked, replies } = opened(async function* () {
      yield answered(0)
      yield answered(1)
    })
    const [first, second] = [0, 1].map((id) => add(id, { text: 'a' }, {}))
    queue.stop(1)
    await Promise.all([second, add(2, { text: '' }, {})])
    expect(asked.map(({ signal }) => signal?.aborted)).toEqual([false, true])
    await first
    await queue.idle()
    queue.stop(0)
    expect(replies).toMatchObject([
      { kind: 'generated', id: 1, ended: 'aborted' },
      { kind: 'failed', id: 2, error: { message: 'empty' } },
      { kind: 'generated', id: 0, ended: 'end' },
    ])
  })

  it('fails all that wait if the batch fails', async () => {
    // biome-ignore lint/correctness/useYield: it fails before its first event
    const { add, replies } = opened(async function* () {
      throw new Error('the weights have changed')
    })
    await Promise.all([0, 1].map((id) => add(id, { text: 'a' }, {})))
    expect(replies.map((reply) => reply.kind)).toEqual(['failed', 'failed'])
  })
})
