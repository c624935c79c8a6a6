/** What the leader of a run makes of gradients from others: wrong sizes, NaN, other data and other bits. */
import { describe, expect, it } from 'vitest'
import type { PartGradient } from '../../../accelerated/training/partGradient.js'
import { acceptPart } from '../../../finetuning/distributed/acceptPart.js'
import { bytesOf, momentBytes } from '../../../finetuning/distributed/exchange.js'
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

describe('a part of a round from another machine', () => {
  const moments = { firstMoment: Float32Array.of(0.1, 0.2, 0.3), secondMoment: Float32Array.of(1, 2, 3) }
  const results = { loss: Float64Array.of(0.5, 0.25), gradientNorm: Float64Array.of(2, 1) }
  const here: PartGradient = { ...own, results, moments }
  const roundFrame = ({ loss = [0.5, 0.25] as ReadonlyArray<number>, bytes = momentBytes(moments) } = {}): Buffer => {
    const header = { worker: 'process 7 on there', tokens: 7, seconds: 0.1, results: { loss, gradientNorm: [2, 1] } }
    return toFrame(header, Buffer.concat([bytesOf(own.gradient, 'float32'), bytes]))
  }
  const judgedRound = async (frame: Buffer, trusted: ReadonlyArray<string> = []) => {
    const computed: string[] = []
    const fits = ({ results: reported }: PartGradient): boolean => reported['loss']?.length === 2
    const judgment = await acceptPart(frame, {
      ...{ part: 1, work: 'rounds', dtype: 'float32', exchange: 'float32', trusted: new Set(trusted) },
      step: { step: 4, parameters: new Float32Array(3), fits: (_, part) => fits(part) },
      compute: async () => {
        computed.push('all')
        return here
      },
      begin: async () => {
        computed.push('first step')
        return { ...here, results: { loss: Float64Array.of(0.5), gradientNorm: Float64Array.of(2) } }
      },
    })
    return { ...judgment, computed }
  }

  it('is taken with its moments, after the first step of a new worker had the same bits here', async () => {
    const first = await judgedRound(roundFrame())
    expect([first.gradient, first.computed, first.warning]).toEqual([here, ['first step'], null])
    expect((await judgedRound(roundFrame(), known.trusted)).computed).toEqual([])
  })

  it('is computed whole where its first step has other bits: one of rounding is taken with a warning', async () => {
    const bytes = momentBytes({ ...moments, firstMoment: Float32Array.of(0.1, 0.2, 0.31) })
    const rounded = await judgedRound(roundFrame({ loss: [0.50001, 0.25], bytes }))
    expect([rounded.gradient, rounded.computed, rounded.refused]).toEqual([here, ['first step', 'all'], null])
    expect(rounded.warning).toMatch(/computes other bits than this machine/)
  })

  it('is refused without moments, or with reports of fewer steps', async () => {
    const short = await judgedRound(roundFrame({ bytes: new Uint8Array(4) }), known.trusted)
    expect(short.refused).toBe('step 5, part 2: expected a part of a round of 3 numbers from process 7 on there, got 16 bytes')
    const fewer = await judgedRound(roundFrame({ loss: [0.5] }), known.trusted)
    expect([fewer.gradient, fewer.refused]).toEqual([
      here,
      expect.stringMatching(/expected a finite part of a round from process 7 on there/),
    ])
  })
})
