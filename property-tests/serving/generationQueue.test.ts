/** Which conversations a run answers in one batch, and that one who leaves a batch does not end it for the others. */
import { describe, expect, it } from 'vitest'
import type { AnswerEvent } from '../../finetuning/use/generator.js'
import { generationQueue, type GenerationQueue } from '../../finetuning/use/serving/generationQueue.js'
import type { GenerationChoice, Reply } from '../../finetuning/use/serving/protocol.js'

/** A queue with a conversation for each of the settings, the sizes of its batches, and its replies. `during` is called within each batch. */
const opened = (settings: readonly GenerationChoice[], during: (queue: GenerationQueue) => void = () => undefined) => {
  const [batches, replies]: [number[], Reply[]] = [[], []]
  const queue: GenerationQueue = generationQueue(
    {
      encode: () => [1],
      answers: async function* (prompts, _settings, signal): AsyncGenerator<AnswerEvent> {
        batches.push(prompts.length)
        during(queue)
        for (const prompt of prompts.keys()) {
          if (signal?.aborted === true) return
          yield { kind: 'answer', prompt, text: 'text', tokens: 1, ids: [], ended: 'end' }
        }
      },
    },
    (reply) => replies.push(reply),
  )
  settings.forEach((one, id) => queue.add(id, { text: 'a' }, one))
  return { queue, batches, replies }
}
const batchesOf = async (...settings: readonly GenerationChoice[]): Promise<readonly number[]> => {
  const { queue, batches } = opened(settings)
  for (const _ of settings) await queue.runNext()
  return batches
}

describe('a batch of conversations', () => {
  it('has only greedy ones: a draw depends on the place in the batch', async () => {
    for (const sampled of [{ topP: 0.5 }, { topK: 4 }, { temperature: 0.5 }]) expect(await batchesOf(sampled, sampled)).toEqual([1, 1])
    expect(await batchesOf({ temperature: 0 }, { temperature: 0 })).toEqual([2])
  })

  it('has settings that are equal, whatever their order is, and at most eight conversations', async () => {
    expect(await batchesOf({ maxNewTokens: 3, seed: 1 }, { seed: 1, maxNewTokens: 3 }, { seed: 2, maxNewTokens: 3 })).toEqual([2, 1])
    expect(await batchesOf(...Array.from({ length: 11 }, () => ({})))).toEqual([8, 3])
  })

  it('continues for the others if one leaves, and ends if all have left', async () => {
    const one = opened([{}, {}, {}], (queue) => queue.stop(1))
    await one.queue.runNext()
    expect(one.replies.flatMap((reply) => (reply.kind === 'generated' ? [[reply.id, reply.ended]] : []))).toEqual([
      [1, 'aborted'],
      [0, 'end'],
      [2, 'end'],
    ])
    const all = opened([{}, {}], (queue) => [0, 1].forEach(queue.stop))
    await all.queue.runNext()
    expect(all.replies.flatMap((reply) => (reply.kind === 'generated' ? [reply.ended] : []))).toEqual(['aborted', 'aborted'])
  })

  it('ends with the last answer that someone waits for, however long that of one who left would be', async () => {
    let pieces = 0
    const queue: GenerationQueue = generationQueue(
      {
        encode: () => [1],
        answers: async function* (_prompts, _settings, signal): AsyncGenerator<AnswerEvent> {
          for (; pieces < 1_000 && signal?.aborted !== true; pieces++) {
            yield { kind: 'piece', prompt: 0, text: 'x' }
            if (pieces === 4) queue.stop(0)
            if (pieces === 8) yield { kind: 'answer', prompt: 1, text: 'text', tokens: 8, ids: [], ended: 'end' }
          }
        },
      },
      () => undefined,
    )
    for (const id of [0, 1]) queue.add(id, { text: 'a' }, {})
    await queue.runNext()
    expect(pieces).toBeLessThan(10)
  })
})
