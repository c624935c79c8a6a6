/** Adapter files with patterns that never end, or with settings and names out of bounds, are refused. */
import { describe, expect, it } from 'vitest'
import { loadLowRank, lookUpPattern } from '../../../accelerated/formats/peft/loadPeft.js'
import { parsePeftConfig } from '../../../accelerated/formats/peft/peftConfig.js'
import { adapter, model, outputs, place, put, refusal, usePlace } from './folder.js'

usePlace()

describe("an adapter's patterns", () => {
  const names = Array.from({ length: 12 }, (_, i) => `roberta.encoder.layer.${i}.attention.self.query`)
  it('share a time limit of three seconds', async () => {
    const table = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${'(.*)*'.repeat(8)}x{${i + 1}}`, 1]))
    const began = performance.now()
    expect(await refusal(() => lookUpPattern(table, names, 'x'))).toMatch(
      /^x: expected a regular expression that matches module names, got "\(\.\*\)/,
    )
    expect(performance.now() - began).toBeLessThan(6_000)
  })
  it('are refused if they are many more than the modules', async () => {
    const table = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, 1]))
    expect(await refusal(() => lookUpPattern(table, names, 'x'))).toBe(
      'x: expected at most 148 patterns of ranks or alphas for 12 modules, got 1000',
    )
  })
})

describe("an adapter's settings", () => {
  const settings = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['query'] }
  it.each<readonly [string, object]>([
    ['r', { r: 65_537 }],
    ['r', { r: 0 }],
    ['lora_alpha', { lora_alpha: 1.1e9 }],
    ['lora_alpha', { lora_alpha: -1.1e9 }],
    ['rank_pattern.query', { rank_pattern: { query: 65_537 } }],
    ['alpha_pattern.query', { alpha_pattern: { query: 1.1e9 } }],
    ['target_modules', { target_modules: 'x'.repeat(10_001) }],
    ['target_modules.0', { target_modules: ['x'.repeat(1_001)] }],
    ['target_modules', { target_modules: Array.from({ length: 100_001 }, () => 'x') }],
    ['modules_to_save.0', { modules_to_save: ['x'.repeat(1_001)] }],
    ['base_model_name_or_path', { base_model_name_or_path: 'x'.repeat(10_001) }],
  ])('adapter settings with %s out of bounds are refused', async (key, change) => {
    expect(parsePeftConfig(JSON.stringify(settings), 'x')).toEqual(settings)
    expect(await refusal(() => parsePeftConfig(JSON.stringify({ ...settings, ...change }), 'x'))).toContain(
      `x: expected a plain LoRA configuration whose ${key} is a`,
    )
  })
})

describe("an adapter's class names", () => {
  it.each([
    ['long ones', ['x'.repeat(1_001), 'y']],
    ['a million and one', Array.from({ length: 1_000_001 }, () => 'x')],
  ])('%s are refused', async (_, labelNames) => {
    await put('adapter_config.json', adapter.configText)
    await put('adapter_model.safetensors', adapter.weights)
    await put('salora.json', { labelNames, problemType: 'single_label_classification' })
    expect(await refusal(() => loadLowRank(place.folder, model, outputs))).toMatch(
      /^F\/salora\.json: expected names as salora writes them whose labelNames(\.0)? is a (text|list) of at most 10+ /,
    )
  })
})
