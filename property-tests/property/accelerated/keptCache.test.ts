/** A kept cache: what a decoder reads and answers over any sequence of prompts and continuations, against one that starts anew each time. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Continuation, type DecodedRows, type Decoder, keepingCache } from '../../../accelerated/generation/decoder.js'
import { SEED } from '../../support/seed.js'

type Tokens = readonly number[]

/** A decoder whose logits of a row are the row's tokens, and which counts the tokens that it reads. */
const recorder = () => {
  let read = 0
  const begin = async (prompts: readonly Tokens[]): Promise<DecodedRows> => {
    let rows = prompts
    read += prompts.flat().length
    return {
      logits: () => rows.map((row) => Float64Array.from(row)),
      append: async (next: readonly Continuation[]) => {
        rows = next.map(({ from, token }) => [...(rows[from] ?? []), token])
        read += next.length
      },
      join: async () => expect.fail('one row stays one'),
      cached: () => expect.fail('one row stays one'),
      reread: async (kept, tokens) => {
        if (rows.length !== 1) throw new Error('expected one row')
        rows = [[...(rows[0] ?? []).slice(0, kept), ...tokens]]
        read += tokens.length
      },
    }
  }
  const decoder = { begin } as unknown as Decoder
  return { decoder, read: () => read }
}

const tokens = fc.array(fc.nat(2), { minLength: 1, maxLength: 6 })
/** Prompts of their own, or one that takes up some of the last text. */
const uses = fc.array(
  fc.record({
    prompts: fc.array(tokens, { minLength: 1, maxLength: 2 }),
    taken: fc.option(fc.nat(8)),
    appended: fc.array(fc.nat(2), { maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 6 },
)

describe(`a kept cache (seed ${SEED})`, () => {
  it('never changes the logits, and reads no token of a single prompt that it has, except the last', () =>
    fc.assert(
      fc.asyncProperty(uses, async (given) => {
        const [kept, fresh] = [recorder(), recorder()]
        const keeping = keepingCache(kept.decoder)
        let last: Tokens = []
        for (const { prompts: own, taken, appended } of given) {
          const prompts = taken === null ? own : [[...last.slice(0, taken), ...(own[0] ?? [])]]
          const before = kept.read()
          const rows = await keeping.begin(prompts)
          const expected = await fresh.decoder.begin(prompts)
          expect(rows.logits()).toEqual(expected.logits())
          const [only = []] = prompts
          const shared = only.findIndex((token, i) => token !== last[i])
          const reused = prompts.length === 1 ? Math.min(shared < 0 ? only.length : shared, only.length - 1) : 0
          expect(kept.read() - before).toBe(prompts.flat().length - reused)
          for (const token of appended) {
            const next = prompts.map((_, from) => ({ from, token }))
            await rows.append(next)
            await expected.append(next)
            expect(rows.logits()).toEqual(expected.logits())
          }
          last = prompts.length === 1 ? [...only, ...appended] : []
        }
      }),
      { seed: SEED, numRuns: 200 },
    ))

  it('begins anew after a prompt whose reading the signal ended', async () => {
    const { decoder, read } = recorder()
    const keeping = keepingCache(decoder)
    await keeping.begin([[1, 2, 4]], AbortSignal.abort())
    const before = read()
    await keeping.begin([[1, 2, 4, 5]])
    expect(read() - before).toBe(4)
  })

  it('begins anew after beams, and after a reading that failed', async () => {
    const { decoder, read } = recorder()
    let fails = false
    const failing: Decoder = {
      ...decoder,
      begin: async (prompts) => {
        const rows = await decoder.begin(prompts)
        return { ...rows, append: async (next) => (fails ? Promise.reject(new Error('a full disk')) : rows.append(next)) }
      },
    }
    const keeping = keepingCache(failing)
    const readBy = async (prompt: Tokens): Promise<number> => {
      const before = read()
      await keeping.begin([prompt])
      return read() - before
    }
    const beams = await keeping.begin([[1, 2]])
    await beams.append([
      { from: 0, token: 3 },
      { from: 0, token: 4 },
    ])
    expect(await readBy([1, 2, 4])).toBe(3)
    const rows = await keeping.begin([[1, 2, 4]])
    fails = true
    await expect(rows.append([{ from: 0, token: 5 }])).rejects.toThrow('a full disk')
    expect(await readBy([1, 2, 4, 5])).toBe(4)
  })
})
