/** What the leader of a run makes of frames from others: altered, swapped, empty, of other runs, sizes, data and bits. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { MicroBatchGradient } from '../../../accelerated/training/microBatchGradient.js'
import { acceptMicroBatch, type PartContext } from '../../../finetuning/machines/acceptMicroBatch.js'
import { encodeVector } from '../../../finetuning/machines/exchange.js'
import * as frames from '../../../finetuning/machines/frame.js'

const { newSigner, toFrame } = frames

const own: MicroBatchGradient = { gradient: Float32Array.of(1, -2, 3), tokens: 7, results: { loss: Float32Array.of(0.5) } }
const signer = newSigner()
const honest = { run: 'this', token: '5', part: 1, key: signer.key, worker: 'process 7 on there', tokens: 7, seconds: 0.1 }

/** @param header what differs from an honest worker's part */
const frameOf = (gradient: Float32Array, header: object = {}, by = signer): Buffer =>
  toFrame({ ...honest, results: { loss: [0.5] }, ...header }, encodeVector(gradient, 'float32'), by)

type Judging = Omit<Partial<PartContext>, 'trusted'> & { readonly trusted?: boolean; readonly here?: MicroBatchGradient }

const judged = async (frame: Buffer, { trusted = false, here = own, ...context }: Judging = {}) => {
  let computed = 0
  const judgment = await acceptMicroBatch(frame, {
    ...{ run: 'this', token: '5', work: 'gradients', dtype: 'float32', exchange: 'float32', done: new Set(), refused: new Set() },
    step: { step: 4, parts: 8, parameters: new Float32Array(3) },
    isChecked: () => false,
    ...context,
    trusted: new Map(trusted ? [[signer.key, 2]] : []),
    compute: async () => {
      computed++
      return here
    },
  })
  const { kind, warning } = judgment
  const of = judgment.kind === 'judged' ? judgment : { gradient: null, refused: null }
  return { kind, warning, gradient: of.gradient, refused: of.refused, computed }
}

const known = { trusted: true }
const leaves = '; parts of this worker are no longer accepted'
const lets = '; it is ignored'
const right = own.gradient as Float32Array

describe('whatever travels through Redis', () => {
  it('has its owner: every header tells the run, whose id is the digest of its setup, and every header or job the publication', () => {
    const headers = Object.entries(frames).flatMap(([name, value]) => (value instanceof z.ZodObject ? [[name, value] as const] : []))
    expect(headers.map(([name]) => name)).toEqual(expect.arrayContaining(['stepHeader', 'partHeader', 'partJob']))
    for (const [name, { shape }] of headers)
      expect(Object.keys(shape), name).toEqual(expect.arrayContaining(name.endsWith('Header') ? ['run', 'token'] : ['token']))
  })
})

describe('a part from another machine', () => {
  it('is taken: the first one of a worker after the same bits were computed here', async () => {
    const first = await judged(frameOf(right))
    expect([first.gradient?.gradient, first.warning, first.refused, first.computed]).toEqual([own.gradient, null, null, 1])
    const later = await judged(frameOf(Float32Array.of(4, 5, 6)), known)
    expect([later.gradient?.gradient, later.gradient?.tokens, later.computed]).toEqual([Float32Array.of(4, 5, 6), 7, 0])
    expect(later.gradient?.results['loss']).toEqual(Float64Array.of(0.5))
  })

  it('is ignored with one line where one bit is flipped, wherever it is, so that its worker stays', async () => {
    const frame = frameOf(right)
    for (let at = 0; at < frame.length; at += 3) {
      const altered = Buffer.from(frame)
      altered[at] = (altered[at] ?? 0) ^ 4
      const { kind, warning } = await judged(altered, known)
      expect([kind, warning], `byte ${at}`).toEqual(['ignored', expect.stringMatching(/^step 5: expected .*; it is ignored$/s)])
    }
  })

  it.each([
    ['with the body of another', () => Buffer.concat([frameOf(right).subarray(0, -12), frameOf(Float32Array.of(7, 8, 9)).subarray(-12)])],
    ["under an honest worker's name and key", () => frameOf(Float32Array.of(7, 8, 9), {}, newSigner())],
  ])('is ignored as altered: %s', async (_, frame) => {
    expect(await judged(frame(), known)).toMatchObject({
      kind: 'ignored',
      warning: `step 5: expected a gradient as its sender signed it, got an altered one${lets}`,
    })
  })

  it.each([
    ['without a byte', Buffer.alloc(0), `step 5: expected a gradient, got 0 bytes of another form${lets}`],
    ['of any bytes', Buffer.from('nonsense'.repeat(10)), `step 5: expected a gradient, got 80 bytes of another form${lets}`],
    [
      'of another run',
      frameOf(right, { run: 'dead' }),
      `step 5: expected a gradient of this run, got one of run dead from process 7 on there${lets}`,
    ],
    ['beyond the step', frameOf(right, { part: 8 }), `step 5: expected a part of 8, got part 9 from process 7 on there${lets}`],
    ['of an earlier step', frameOf(right, { token: '4' }), null],
  ])('is ignored: %s', async (_, frame, warning) => {
    expect(await judged(frame, known)).toMatchObject({ kind: 'ignored', warning, computed: 0 })
  })

  it('is ignored without a word where it is done, or its worker is refused', async () => {
    expect(await judged(frameOf(right), { done: new Set([1]) })).toMatchObject({ kind: 'ignored', warning: null })
    expect(await judged(frameOf(right), { refused: new Set([signer.key]) })).toMatchObject({ kind: 'ignored', warning: null })
  })

  it('of another size is refused, and the worker is named', async () => {
    const { gradient, warning, computed } = await judged(frameOf(Float32Array.of(1, 2)), known)
    expect([gradient, computed]).toEqual([null, 0])
    expect(warning).toBe(`step 5, part 2: expected a gradient of 3 numbers from process 7 on there, got 8 bytes${leaves}`)
  })

  it('with NaN is refused, unless this machine finds no finite one either: then the run ends as it does alone', async () => {
    const bad = await judged(frameOf(Float32Array.of(1, NaN, 3)), known)
    expect([bad.gradient, bad.warning]).toEqual([
      own,
      `step 5, part 2: expected a finite gradient from process 7 on there, got one with NaN or infinity${leaves}`,
    ])
    expect((await judged(frameOf(right, { results: { loss: [null] } }), known)).refused).toMatch(/finite gradient/)
    const diverged = { ...own, gradient: Float32Array.of(NaN, NaN, NaN) }
    const both = await judged(frameOf(Float32Array.of(NaN, 1, 1)), { trusted: true, here: diverged })
    expect([both.gradient, both.refused]).toEqual([diverged, null])
  })

  it('of other data is refused, and one that differs in rounding is taken with one warning', async () => {
    expect((await judged(frameOf(Float32Array.of(1, -2, 3.5)))).warning).toBe(
      `step 5, part 2: expected the gradient of 7 tokens from process 7 on there, got one that differs by 1.3e-1${leaves}`,
    )
    expect((await judged(frameOf(right, { tokens: 8 }))).warning).toMatch(/got one of 8 tokens; parts/)
    for (const frame of [frameOf(Float32Array.of(1, -2, 3.000001)), frameOf(right, { results: { loss: [0.51] } })]) {
      const { gradient, warning, refused } = await judged(frame)
      expect([gradient, refused]).toEqual([own, null])
      expect(warning).toMatch(/^process 7 on there computes other bits .* no longer bit for bit that of one machine$/)
    }
  })

  it('of a worker that was trusted is checked now and then, and a made-up one ends the run in one line', async () => {
    const checked = { trusted: true, isChecked: () => true }
    expect(await judged(frameOf(right), checked)).toMatchObject({ kind: 'judged', refused: null, computed: 1 })
    await expect(judged(frameOf(Float32Array.of(7, 8, 9)), checked)).rejects.toThrow(
      'step 5, part 2: expected the gradient that this process computes from process 7 on there, got one that differs by 3.5e+0. ' +
        'Its parts were taken from step 2 on: resume from an earlier checkpoint, without this worker',
    )
  })
})

describe('answers from another machine', () => {
  const outputs = Float32Array.of(0.1, 0.2, 0.3)
  const answers = { gradient: outputs, tokens: 7, results: { logits: Float64Array.of(2), losses: Float64Array.of(1) } }
  const step = {
    step: 4,
    parts: 8,
    parameters: new Float32Array(9),
    fits: (_: number, { gradient }: MicroBatchGradient) => gradient.length === 3,
  }
  const accepted = (body: Float32Array, results: object, trusted = true) =>
    judged(frameOf(body, { results }), { work: 'answers', exchange: 'float16', step, trusted, here: answers })
  const sizes = { logits: [2], losses: [1] }

  it('are taken as they are: with float16 too, and of the size that the batch has', async () => {
    expect((await accepted(outputs, sizes)).gradient?.gradient).toEqual(outputs)
    expect((await accepted(outputs, sizes, false)).refused).toBeNull()
  })

  const notFinite = 'a finite set of answers from process 7 on there, got one with NaN or infinity'
  it.each([
    [
      'another size than they claim',
      outputs,
      { logits: [2], losses: [2] },
      'a set of answers of 4 numbers from process 7 on there, got 12 bytes',
    ],
    ['no size', outputs, { logits: [null] }, 'a set of answers of NaN numbers from process 7 on there, got 12 bytes'],
    ['too few numbers', outputs.subarray(1), { logits: [2] }, notFinite],
    ['NaN', Float32Array.of(1, NaN, 1), sizes, notFinite],
  ])('with %s are refused', async (_, body, claimed, expected) => {
    expect((await accepted(body, claimed)).refused).toBe(`step 4, part 2: expected ${expected}`)
  })
})
