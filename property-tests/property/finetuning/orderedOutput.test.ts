/** The answers of a batch in the order of the prompts, in whatever order they end. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AnswerEvent, orderedOutput } from '../../../finetuning/use/generator.js'
import { SEED } from '../../support/seed.js'

const answer = (prompt: number): AnswerEvent => ({ kind: 'answer', prompt, text: `answer ${prompt}`, tokens: 1, ids: [], ended: 'length' })
const piece = (prompt: number): AnswerEvent => ({ kind: 'piece', prompt, text: 'piece' })

/** `3` for an answer and `p3` for a piece, in the order in which they come out. */
const shown = async (given: readonly AnswerEvent[]): Promise<readonly string[]> => {
  const lines: string[] = []
  async function* events(): AsyncGenerator<AnswerEvent> {
    for (const event of given) {
      lines.push('|') // what is out before the next event comes in
      yield event
    }
  }
  for await (const { kind, prompt } of orderedOutput(events())) lines.push(kind === 'piece' ? `p${prompt}` : `${prompt}`)
  return lines.join(' ').split(' ')
}

describe('ordered output', () => {
  it('holds an answer back until all earlier ones are out, and then yields all that wait, in order', async () => {
    expect((await shown([2, 1, 4, 0, 3].map(answer))).join(' ')).toBe('| | | | 0 1 2 | 3 4')
  })

  it('yields pieces at once', async () => {
    expect((await shown([piece(1), answer(1), piece(0), answer(0)])).join(' ')).toBe('| p1 | | p0 | 0 1')
  })

  it('yields the answers that remain, in order, if an earlier prompt has none', async () => {
    expect((await shown([answer(2), answer(1)])).join(' ')).toBe('| | 1 2')
  })

  it(`yields every answer once and in order, whatever order they end in (seed ${SEED})`, () =>
    fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(12), { selector: (x) => x }), async (drawn) => {
        const order = drawn.map((x) => drawn.filter((y) => y < x).length) // 0, 1, … in a random order
        const out = (await shown(order.map(answer))).filter((word) => word !== '|' && word !== '')
        expect(out).toEqual(order.map((_, i) => `${i}`))
      }),
      { seed: SEED, numRuns: 50 },
    ))
})
