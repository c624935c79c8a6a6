/** A family supports exactly the methods beyond low-rank adapters that a library was compared with on it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { startPhase } from '../../accelerated/methods/startPhase.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import { architectures } from '../../accelerated/models/index.js'
import { SettingsError } from '../../accelerated/errors/expectedErrors.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { fixtures } from './golden.js'

const names = ['houlsby', 'pfeiffer', 'prefix', 'prompt'] as const
type Name = (typeof names)[number]

const exchanged = Object.keys(JSON.parse(readFileSync(join(fixtures, 'exchange.json'), 'utf8')) as object)
const folders = readdirSync(fixtures).filter((folder) => existsSync(join(fixtures, folder, 'config.json')))
const typeOf = (folder: string): string =>
  (JSON.parse(readFileSync(join(fixtures, folder, 'config.json'), 'utf8')) as { readonly model_type: string }).model_type

/** Whether a fixture compares training on it. XLM-RoBERTa has RoBERTa's layers, and differs only in its files. */
const isCompared = (folder: string, name: Name): boolean =>
  existsSync(join(fixtures, folder, name, 'golden.safetensors')) || (folder === 'xlm-roberta' && exchanged.includes(`${folder}/${name}`))

/** The error message; null if the method starts. */
const refusalOf = (spec: ModelSpec, name: Name): string | null => {
  try {
    startPhase(
      findMethod(name),
      spec,
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
  const compared = names.filter((name) => of.some((folder) => isCompared(folder, name)))

  // LLaMA's layers are Qwen2's, whose prefix is compared, and what the others add comes before keys and values. PEFT has no prefix for heads that
  // do not divide the hidden size, as the fixtures'.
  const expected = ['llama', 'gemma', 'olmo2', 'smollm3'].includes(type) ? [...new Set<Name>(['prefix', ...compared])] : compared

  it.each(of)(
    `supports ${expected.join(', ') || 'low-rank adapters only'} and refuses every other method in one line (%s)`,
    async (folder) => {
      const { spec } = (await openModelFolder(join(fixtures, folder))).model
      const refusals = names.map((name) => [name, refusalOf(spec, name)] as const)
      expect(refusals.filter(([, refusal]) => refusal === null).map(([name]) => name)).toEqual(expected)
      const others = ['lora', 'salora', 'adalora', ...expected, 'ia3'].join(', ')
      for (const [name, refusal] of refusals)
        if (refusal !== null) expect(refusal).toBe(`method: expected ${others} or full on a model of this family, got ${name}`)
    },
  )
})

it('every model family has a fixture', () =>
  expect(kinds.map(({ type }) => type).sort()).toEqual(architectures.flatMap(({ modelTypes }) => modelTypes).sort()))
