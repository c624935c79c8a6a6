/** Rotary frequencies, and the factor of cosines and sines, are those that transformers makes of a config.json, in both derivations. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { int32Feed } from '../../accelerated/engines/feeds.js'
import { input } from '../../accelerated/graph/operators.js'
import { readDecoderConfig } from '../support/decoderConfigs.js'
import { rotaryAngles, rotaryFrequencies } from '../../accelerated/models/layers/rotary.js'
import { frequencies, rotate, tensor } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { fixtures } from './golden.js'

type Case = { readonly config: Readonly<Record<string, unknown>>; readonly frequencies: readonly number[]; readonly factor: number }

const { cases } = JSON.parse(readFileSync(join(fixtures, 'rotary.json'), 'utf8')) as { readonly cases: readonly Case[] }
const titled = cases.map((one) => {
  const { max_position_embeddings: positions, rope_theta: base, rope_scaling: scaling, rope_parameters: own } = one.config
  return { ...one, title: JSON.stringify({ positions, base, scaling, own }) }
})
const positions = [0, 1, 7, 63]

describe('rotary embeddings of transformers', () => {
  it.each(titled)('$title', async ({ config: json, frequencies: expected, factor }) => {
    const config = readDecoderConfig(json)
    const { headSize, rotaryBase: base, rotaryScaling: scaling } = config
    assertClose(rotaryFrequencies(config), expected, { relative: 1e-12 })
    assertClose(frequencies({ headSize, base, scaling }), expected, { relative: 1e-12 })

    const cosines = positions.flatMap((position) => expected.map((frequency) => factor * Math.cos(position * frequency)))
    const sines = positions.flatMap((position) => expected.map((frequency) => factor * Math.sin(position * frequency)))
    const session = await findDevice('cpu')
      .engine({ threads: 1 })
      .open(rotaryAngles(config, input('positions', ['tokens'], 'int32'), 'float64'), noWeights)
    const { cosine, sine } = await session.run({ positions: int32Feed(Int32Array.from(positions)) }).finally(session.release)
    assertClose(Array.from(cosine ?? [], Number), cosines, { relative: 1e-12, absolute: 1e-12 })
    assertClose(Array.from(sine ?? [], Number), sines, { relative: 1e-12, absolute: 1e-12 })

    const first = (row: number): readonly number[] => Array.from({ length: headSize }, (_, i) => (i < headSize / 2 ? 1 : 0) * (row + 1))
    const rows = positions.flatMap((_, row) => first(row))
    const turned = rotate({ headSize, base, scaling }, positions)(tensor([positions.length, headSize], rows))
    const half = headSize / 2
    const parts = positions.flatMap((_, row) => [
      ...cosines.slice(row * half, (row + 1) * half).map((x) => x * (row + 1)),
      ...sines.slice(row * half, (row + 1) * half).map((x) => x * (row + 1)),
    ])
    assertClose([...turned.data], parts, { relative: 1e-12, absolute: 1e-10 })
  })

  it("of YaRN divide all pairs but the first where the line between them has no length, as transformers' 0.001 does", () => {
    // every pair makes less than a turn within 6 positions: the line would begin and end at pair 0
    const scaling = {
      kind: 'yarn',
      factor: 4,
      betaFast: 32,
      betaSlow: 1,
      originalPositions: 6,
      truncate: true,
      attentionFactor: 1,
    } as const
    const expected = [1, 100 ** (-2 / 8) / 4, 100 ** (-4 / 8) / 4, 100 ** (-6 / 8) / 4]
    const settings = { headSize: 8, rotaryBase: 100, rotaryScaling: scaling }
    assertClose(rotaryFrequencies(settings), expected, { relative: 1e-12 })
    assertClose(frequencies({ headSize: 8, base: 100, scaling }), expected, { relative: 1e-12 })
  })

  it('covers every scaling', () => {
    const kinds = cases.map(({ config: { rope_scaling: scaling } }) => (scaling as { readonly rope_type?: string } | null)?.rope_type)
    expect(kinds).toEqual(expect.arrayContaining([undefined, 'llama3', 'yarn']))
    expect(new Set(cases.map(({ factor }) => factor)).size).toBeGreaterThan(3)
  })
})
