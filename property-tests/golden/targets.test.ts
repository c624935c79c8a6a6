/** Which modules an adapter has, as PEFT configures them: chosen layers, expressions, excluded modules. A folder has PEFT's logits, and train's settings the same matrices. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { adapterSettings, readAdapter, writeAdapter } from '../../accelerated/formats/index.js'
import { filePrefixes, targetedMatrices, type TargetSettings } from '../../accelerated/methods/targetedMatrices.js'
import { openTextDecoder } from '../../finetuning/use/modelSessions.js'
import { loadTextModel } from '../../finetuning/use/openModel.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { predictGolden } from './exportGolden.js'
import { compareNumbers, expectAgreement, fixtures, goldenBounds, readGolden } from './golden.js'

type Made = {
  readonly config: Readonly<Record<string, unknown>>
  readonly shapes: Readonly<Record<string, readonly number[]>>
  readonly logits: readonly (readonly number[])[]
}
const golden = JSON.parse(readFileSync(join(fixtures, 'targets.json'), 'utf8')) as {
  readonly ids: readonly (readonly number[])[]
  readonly cases: Readonly<Record<string, Readonly<Record<'bert' | 'llama', Made>>>>
}
const cases = Object.entries(golden.cases).flatMap(([name, made]) =>
  (['bert', 'llama'] as const).map((family) => [name, family, made[family]] as const),
)
const { folder } = temporaryFolder('targets')

/** golden_targets.py's formula */
const write = async ({ config, shapes }: Made): Promise<void> => {
  const tensors = Object.entries(shapes).map(([key, shape], place) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 0.2 * Math.sin(1.3 * i + 7 * place))
    return [key, { shape, data }] as const
  })
  await rm(join(folder, 'salora.json'), { force: true })
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(config))
  await writeFile(join(folder, 'adapter_model.safetensors'), writeSafetensors(new Map(tensors)))
}

const logitsOf = async (family: 'bert' | 'llama'): Promise<readonly number[]> => {
  if (family === 'bert') return predictGolden(family, folder, readGolden(family))
  const model = await loadTextModel({ model: join(fixtures, family), adapter: folder })
  const decoder = await openTextDecoder(model, { precision: 'float32', threads: 1 }, findDevice('cpu'))
  return (await decoder.begin(golden.ids).finally(decoder.release)).logits().flatMap((row) => [...row])
}

const list = (value: unknown): readonly string[] | null => (value === undefined ? null : [value as string | readonly string[]].flat())

describe.each(cases)('an adapter of PEFT by %s on %s', (name, family, made) => {
  it("has PEFT's logits, which its export keeps", async () => {
    await write(made)
    const expect = (logits: readonly number[]) =>
      expectAgreement(`${name}, ${family}`, [compareNumbers('logits', goldenBounds.float32, made.logits.flat(), logits)])
    expect(await logitsOf(family))
    const base = await openModelFolder(join(fixtures, family))
    await writeAdapter(folder, await readAdapter(folder, base), base)
    expect(await logitsOf(family))
  })

  it('has the matrices that a run has by the same settings, and by those that it continues with', async () => {
    await write(made)
    const { spec, naming } = (await openModelFolder(join(fixtures, family))).model
    const adapted = spec.matrices
      .map((matrix) => matrix.name)
      .filter((matrix) => `base_model.model.${naming.stored(matrix)}.lora_A.weight` in made.shapes)
    const named = (settings: TargetSettings) => targetedMatrices(spec, settings).map((matrix) => matrix.name)
    const { target_modules: targets, exclude_modules: excluded, layers_to_transform: layers } = made.config
    const settings = {
      targetModules: name === 'excluded' ? ['all-linear'] : list(targets),
      excludeModules: list(excluded)?.filter((module) => module !== 'pooler.dense') ?? null,
      layersToTransform: layers === undefined ? null : [layers as number].flat(),
    }
    expect(named(settings)).toEqual(adapted)
    expect(adapted.length).toBeGreaterThan(0)
    const continued = await adapterSettings(folder, {})
    expect(named(continued as TargetSettings)).toEqual(adapted)
    expect(continued).toMatchObject({ method: 'lora', rank: 2, loraAlpha: 3, rankPattern: null })
  })
})

it.each([
  [{ targetModules: ['(q|v)+_proj'] }, /^targetModules: expected an expression of at most 4 repetitions, none of them of a group, got /],
  [{ targetModules: ['.*.*.*.*.*x'] }, /of at most 4 repetitions/],
  [{ targetModules: ['.*(q_proj'] }, /^targetModules: expected a regular expression, got ".*" \(Invalid/],
  [
    { targetModules: ['.*nothing'] },
    /^targetModules: expected an expression that matches a whole path, with endings of self_attn.q_proj, /,
  ],
  [{ targetModules: null, excludeModules: ['q'] }, /^excludeModules: expected .*, got "q"/],
  [{ targetModules: ['q_proj'], excludeModules: ['q_proj'] }, /^excludeModules: expected a targeted matrix that is left, got none/],
  [
    { targetModules: ['0.self_attn.q_proj'], layersToTransform: [1] },
    /^layersToTransform: expected a targeted matrix that is left, got none/,
  ],
  [{ targetModules: null, layersToTransform: [1, 2] }, /^layersToTransform: expected layers below 2, got 2/],
] as const)('%j is refused', async (settings, message) => {
  const { spec } = (await openModelFolder(join(fixtures, 'llama'))).model
  expect(() => targetedMatrices(spec, settings)).toThrow(message)
})

it('every family has its prefix in files among those of expressions', async () => {
  const folders = readdirSync(fixtures).filter((name) => existsSync(join(fixtures, name, 'config.json')))
  const prefixes = await Promise.all(folders.map(async (name) => (await openModelFolder(join(fixtures, name))).model.naming.prefix))
  expect(prefixes.filter((prefix) => !filePrefixes.includes(prefix))).toEqual([])
})
