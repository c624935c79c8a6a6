/** The number of trained parameters of each method on the paper's two models: by hand, and with the head as in the paper's Table 1. */
import { describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../../accelerated/checkpoints/configFile.js'
import { methods } from '../../../accelerated/methods/index.js'
import type { Method } from '../../../accelerated/methods/method.js'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'

const robertaOf = (layers: number, hiddenSize: number) => {
  const config = {
    model_type: 'roberta',
    vocab_size: 50265,
    hidden_size: hiddenSize,
    num_hidden_layers: layers,
    num_attention_heads: hiddenSize / 64,
    intermediate_size: 4 * hiddenSize,
    ...{ max_position_embeddings: 514, type_vocab_size: 1, layer_norm_eps: 1e-5, pad_token_id: 1, hidden_act: 'gelu' },
  }
  return parseConfigFile(JSON.stringify(config), 'config.json')
}
const roberta = { base: robertaOf(12, 768), large: robertaOf(24, 1024) }

const sum = (shapes: Iterable<readonly number[]>): number =>
  [...shapes].reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0)
const headOf = ({ model, outputs }: typeof roberta.base): number => sum(model.sequenceHead(outputs.labels).tensors.values())
const startOf = (method: Method, { model }: typeof roberta.base) => {
  const settings = resolveSettings({ method: method.name } as SettingsInput)
  return { settings, phase: method.phases.start(model.spec, settings) }
}
const trainedBy = (method: Method, size: typeof roberta.base): number => {
  const { settings, phase } = startOf(method, size)
  return sum(method.train.tensors(phase, settings).map(({ shape }) => shape))
}
/** As result.json has them. */
const toldBy = (method: Method, size: typeof roberta.base): number => {
  const { settings, phase } = startOf(method, size)
  const { gates: _, ...others } = method.reporting?.parameterCounts?.(phase, settings) ?? {}
  return Object.values(others).reduce((a, b) => a + b, 0)
}

describe('the number of trained parameters, for two classes', () => {
  it('is tested for every method', () => expect(Object.keys(counts).sort()).toEqual(methods.map(({ name }) => name).sort()))

  /** [base, large] without the head, by hand: r = 8 (AdaLoRA 12), 40 virtual tokens, a sixteenth of the width. full: the published count less its head. */
  const counts: Readonly<Record<string, readonly [number, number]>> = {
    full: [124_055_040, 354_310_144],
    lora: [1_327_104, 3_538_944],
    salora: [1_327_104, 3_538_944], // until its gates join at T_start, 576 and 1,152 of them
    adalora: [1.5 * 1_327_104 + 72 * 12, 1.5 * 3_538_944 + 144 * 12],
    houlsby: [1_789_056, 6_343_680],
    pfeiffer: [894_528, 3_171_840],
    prefix: [737_280, 1_966_080],
    prompt: [30_720, 40_960],
    ia3: [12 * (3 * 768 + 3072), 24 * (3 * 1024 + 4096)], // keys, values and the inputs of both blocks' last matrices
  }
  it.each(methods.map((method) => [method.name, method] as const))(
    'is that of the paper or of the library for %s, and is reported',
    (name, method) => {
      expect([trainedBy(method, roberta.base), trainedBy(method, roberta.large)]).toEqual(counts[name])
      expect([toldBy(method, roberta.base), toldBy(method, roberta.large)]).toEqual(counts[name])
    },
  )

  it('includes the head: 124.6 M for the base model, 1,329,410 and 3,017,730 for prefixes, 622,850 and 1,092,610 for prompts', () => {
    const withHead = (name: string) =>
      [roberta.base, roberta.large].map((size) => headOf(size) + trainedBy(methods.find((method) => method.name === name)!, size))
    expect(withHead('full')).toEqual([124_647_170, 355_361_794])
    expect(withHead('prefix')).toEqual([1_329_410, 3_017_730])
    expect(withHead('prompt')).toEqual([622_850, 1_092_610])
  })
})
