/** What a family carries beyond low-rank adapters is what a library was held against on it: no more, and no less. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import { architectures } from '../../accelerated/models/index.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import { methodOf, resolveSettings } from '../../accelerated/training/settings.js'
import { fixtures } from './golden.js'

const names = ['houlsby', 'pfeiffer', 'prefix', 'prompt'] as const
type Name = (typeof names)[number]

const exchanged = Object.keys(JSON.parse(readFileSync(join(fixtures, 'exchange.json'), 'utf8')) as object)
const folders = readdirSync(fixtures).filter((folder) => existsSync(join(fixtures, folder, 'config.json')))
const typeOf = (folder: string): string =>
  (JSON.parse(readFileSync(join(fixtures, folder, 'config.json'), 'utf8')) as { readonly model_type: string }).model_type

/** Training is held by a fixture of its own, or is that of a family of the same layers whose files alone are others: XLM-RoBERTa is RoBERTa. */
const isHeld = (folder: string, name: Name): boolean =>
  existsSync(join(fixtures, folder, name, 'golden.safetensors')) || (folder === 'xlm-roberta' && exchanged.includes(`${folder}/${name}`))

/** null where the method starts; else what the refusal says */
const refusalOf = (outline: ModelSpec, name: Name): string | null => {
  try {
    methodOf(name).start(
      outline,
      resolveSettings({ method: name, ...(name === 'prefix' || name === 'prompt' ? { numVirtualTokens: 3 } : {}) }),
    )
    return null
  } catch (error) {
    if (error instanceof SettingsError) return error.message
    throw error
  }
}

const kinds = [...new Set(folders.map(typeOf))].map((type) => ({ type, of: folders.filter((folder) => typeOf(folder) === type) }))

describe.each(kinds)('$type', ({ type, of }) => {
  const held = names.filter((name) => of.some((folder) => isHeld(folder, name)))

  // LLaMA's layers are Qwen2's, whose prefix is held; PEFT makes none of heads that are no part of the hidden size, as its fixture's are
  const expected = type === 'llama' ? [...new Set<Name>(['prefix', ...held])] : held

  it.each(of)(`carries ${expected.join(', ') || 'nothing'} and refuses all else in one line, as %s`, async (folder) => {
    const { spec } = (await openModelFolder(join(fixtures, folder))).model
    const refusals = names.map((name) => [name, refusalOf(spec, name)] as const)
    expect(refusals.filter(([, refusal]) => refusal === null).map(([name]) => name)).toEqual(expected)
    const others = ['salora', 'lora', 'adalora', ...expected].join(', ')
    for (const [name, refusal] of refusals)
      if (refusal !== null) expect(refusal).toBe(`method: expected ${others} or full on a model of this family, got ${name}`)
  })
})

it('is asked of every family that there is', () =>
  expect(kinds.map(({ type }) => type).sort()).toEqual(architectures.flatMap(({ modelTypes }) => modelTypes).sort()))
