/** What the leader of a run makes of gradients from others: wrong sizes, NaN, other data and other bits. */
import { describe, expect, it } from 'vitest'
import type { PartGradient } from '../../../accelerated/training/partGradient.js'
import { acceptPart } from '../../../finetuning/distributed/acceptPart.js'
import { bytesOf } from '../../../finetuning/distributed/exchange.js'
import { toFrame } from '../../../finetuning/distributed/frame.js'

const own: PartGradient = { gradient: Float32Array.of(1, -2, 3), tokens: 7, results: { loss: Float32Array.of(0.5) } }

const frameOf = (gradient: Float32Array, { tokens = 7, loss = 0.5 as number | null } = {}): Buffer =>
  toFrame({ worker: 'process 7 on there', tokens, seconds: 0.1, results: { loss: [loss] } }, bytesOf(gradient, 'float32'))

const judged = async (frame: Buffer, { trusted = [] as string[], here = own } = {}) => {
  let computed = 0
  const judgement = await acceptPart(frame, {
    part: 1,
    work: 'gradients',
    step: { step: 4, parameters: new Float32Array(3) },
    dtype: 'float32',
    exchange: 'float32',
    trusted: new Set(trusted),
    compute: async () => {
      computed++
      return here
    },
  })
  return { ...judgement, computed }
}

const known = { trusted: ['process 7 on there'] }
const leaves = '; parts of this worker are no longer accepted'

describe('a gradient from another machine', () => {
  it('is taken: the first one of a worker after the same bits were computed here', async () => {
    const first = await judged(frameOf(Float32Array.of(1, -2, 3)))
    expect([first.gradient?.gradient, first.warning, first.refused, first.computed]).toEqual([own.gradient, null, null, 1])
    const later = await judged(frameOf(Float32Array.of(4, 5, 6)), known)
    expect([later.gradient?.gradient, later.gradient?.tokens, later.computed]).toEqual([Float32Array.of(4, 5, 6), 7, 0])
    expect(later.gradient?.results['loss']).toEqual(Float64Array.of(0.5))
  })

  it('of another size is refused, and the worker is named', async () => {
    const { gradient, warning, worker, computed } = await judged(frameOf(Float32Array.of(1, 2)), known)
    expect([gradient, worker, computed]).toEqual([null, 'process 7 on there', 0])
    expect(warning).toBe(`step 5, part 2: expected a gradient of 3 numbers from process 7 on there, got 8 bytes${leaves}`)
  })

  it('with NaN is refused, unless this machine finds no finite one either: then the run ends as it does alone', async () => {
    const bad = await judged(frameOf(Float32Array.of(1, NaN, 3)), known)
    expect([bad.gradient, bad.warning]).toEqual([
      own,
      `step 5, part 2: expected a finite gradient from process 7 on there, got one with NaN or infinity${leaves}`,
    ])
    expect((await judged(frameOf(own.gradient as Float32Array, { loss: null }), known)).refused).toMatch(/finite gradient/)
    const diverged = { ...own, gradient: Float32Array.of(NaN, NaN, NaN) }
    const both = await judged(frameOf(Float32Array.of(NaN, 1, 1)), { ...known, here: diverged })
    expect([both.gradient, both.refused]).toEqual([diverged, null])
  })

  it('of other data is refused', async () => {
    expect((await judged(frameOf(Float32Array.of(1, -2, 3.5)))).warning).toBe(
      `step 5, part 2: expected the gradient of 7 tokens from process 7 on there, got one that differs by 1.3e-1${leaves}`,
    )
    expect((await judged(frameOf(Float32Array.of(1, -2, 3), { tokens: 8 }))).warning).toMatch(/got one of 8 tokens; parts/)
  })

  it('that differs in rounding is taken with one warning, and this machine keeps its own', async () => {
    const { gradient, warning, refused } = await judged(frameOf(Float32Array.of(1, -2, 3.000001)))
    expect([gradient, refused]).toEqual([own, null])
    expect(warning).toMatch(/^process 7 on there computes other bits .* no longer bit for bit that of one machine$/)
  })

  it('of any bytes is refused in one line', async () => {
    expect((await judged(Buffer.from('nonsense'))).warning).toMatch(/^step 5, part 2: expected a gradient, got 8 bytes of another form/)
  })
})

describe('answers from another machine', () => {
  const outputs = Float32Array.of(0.1, 0.2, 0.3)
  const answers = { gradient: outputs, tokens: 7, results: { logits: Float64Array.of(2), losses: Float64Array.of(1) } }
  const accepted = (body: Float32Array, sizes: object, trusted: ReadonlyArray<string> = known.trusted) =>
    acceptPart(toFrame({ worker: 'process 7 on there', tokens: 7, seconds: 0.1, results: sizes }, bytesOf(body, 'float32')), {
      ...{ part: 1, work: 'answers', dtype: 'float32', exchange: 'float16' },
      step: { step: 4, parameters: new Float32Array(9), fits: (_, { gradient }) => gradient.length === 3 },
      trusted: new Set(trusted),
      compute: async () => answers,
    })
  const sizes = { logits: [2], losses: [1] }

  it('are taken as they are: with float16 too, and of the size that the batch has', async () => {
    expect((await accepted(outputs, sizes)).gradient?.gradient).toEqual(outputs)
    expect((await accepted(outputs, sizes, [])).refused).toBeNull()
  })

  it.each([
    [
      'another size than they claim',
      outputs,
      { logits: [2], losses: [2] },
      'a set of answers of 4 numbers from process 7 on there, got 12 bytes',
    ],
    ['no size', outputs, { logits: [null] }, 'a set of answers of NaN numbers from process 7 on there, got 12 bytes'],
    [
      'too few numbers',
      outputs.subarray(1),
      { logits: [2] },
      'a finite set of answers from process 7 on there, got one with NaN or infinity',
    ],
    ['NaN', Float32Array.of(1, NaN, 1), sizes, 'a finite set of answers from process 7 on there, got one with NaN or infinity'],
  ])('with %s are refused', async (_, body, claimed, expected) => {
    expect((await accepted(body, claimed)).refused).toBe(`step 4, part 2: expected ${expected}`)
  })
})
