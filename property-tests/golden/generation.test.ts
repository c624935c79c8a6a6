/** Greedy and beam search give the tokens that transformers generates, prompt by prompt and in a batch of prompts of different lengths. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { openDecoder, type Decoder } from '../../accelerated/generation/decoder.js'
import { generate, type GenerationSettings } from '../../accelerated/generation/generate.js'
import { openFrozen } from '../../accelerated/precisions/precision.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { plainAssembly } from '../support/plainDecoder.js'
import { decoderFamilies, dtypes, fixtures } from './golden.js'

type Tokens = readonly number[]
type Golden = {
  readonly maxNewTokens: number
  readonly prompts: readonly Tokens[]
  readonly cases: readonly {
    readonly name: string
    readonly arguments: Readonly<Partial<Record<'num_beams' | 'length_penalty' | 'repetition_penalty', number>>>
    readonly ends: Tokens
    readonly tokens: readonly Tokens[]
  }[]
}

const open = async (folder: string, dtype: FloatType): Promise<Decoder> => {
  const base = await openModelFolder(folder)
  const precision = findPrecision(dtype)
  const frozen = await openFrozen(precision, base)
  const assembly = plainAssembly(base.model, frozen.tensor, dtype)
  return openDecoder(assembly, {}, new Float32Array(0), {
    engine: findDevice('cpu').engine({ threads: 1 }),
    weights: frozen.weights,
  })
}

const textsOf = async (decoder: Decoder, prompts: readonly Tokens[], settings: GenerationSettings): Promise<readonly Tokens[]> => {
  const texts = new Map<number, Tokens>()
  for await (const event of generate(decoder, prompts, settings)) if (event.kind === 'text') texts.set(event.prompt, event.tokens)
  return prompts.map((_, prompt) => texts.get(prompt) ?? [])
}

describe.each(decoderFamilies)('%s generates as transformers does', (family) => {
  const folder = join(fixtures, family)
  const golden = JSON.parse(readFileSync(join(folder, 'generation.json'), 'utf8')) as Golden
  const decoders = new Map<FloatType, Promise<Decoder>>(dtypes.map((dtype) => [dtype, open(folder, dtype)]))
  afterAll(async () => {
    for (const decoder of decoders.values()) await (await decoder).release()
  })
  const cases = dtypes.flatMap((dtype) =>
    golden.cases.map((one) => ({ ...one, dtype, title: `${one.name}${one.ends.length > 0 ? ' with ends' : ''} (${dtype})` })),
  )

  it.each(cases)('$title', async ({ dtype, arguments: given, ends, tokens }) => {
    const decoder = await decoders.get(dtype)
    if (decoder === undefined) throw new Error(`expected a decoder in ${dtype}`)
    const settings: GenerationSettings = {
      maxNewTokens: golden.maxNewTokens,
      sampling: null,
      numBeams: given.num_beams ?? 1,
      lengthPenalty: given.length_penalty ?? 1,
      ...{ presencePenalty: 0, frequencyPenalty: 0 },
      repetitionPenalty: given.repetition_penalty ?? 1,
      seed: 0,
      batchSize: 4,
      endTokens: ends,
      stops: () => false,
    }
    expect(await textsOf(decoder, golden.prompts, settings), 'in one batch').toEqual(tokens)
    expect(await textsOf(decoder, golden.prompts, { ...settings, batchSize: 1 }), 'one by one').toEqual(tokens)
  })

  it('covers texts that end early and texts that do not', () => {
    const lengths = golden.cases.flatMap(({ tokens }) => tokens.map(({ length }) => length))
    expect(lengths.some((length) => length < golden.maxNewTokens)).toBe(true)
    expect(lengths.some((length) => length === golden.maxNewTokens)).toBe(true)
  })
})
