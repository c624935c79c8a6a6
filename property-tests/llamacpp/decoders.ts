/** Decoders of the golden fixtures, adapters of uneven ranks on them, and the probabilities that salora gives their next tokens. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { elementCount } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import type { Adapter } from '../../accelerated/formats/adapter.js'
import { writeAdapter } from '../../accelerated/formats/index.js'
import { causalOutputs } from '../../accelerated/models/modelOutputs.js'
import { normals } from '../../accelerated/parameters/random.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { openTextDecoder } from '../../finetuning/use/modelSessions.js'
import { loadTextModel } from '../../finetuning/use/openModel.js'
import { decoderFamilies, fixtures } from '../golden/golden.js'

/** Those with a file in GGUF: all but OPT. */
export const families = decoderFamilies.filter((family) => family !== 'opt')
export type Family = (typeof families)[number]

/** What llama.cpp has no key for: Mistral's and Ministral's windows, another scale than that of a head in Gemma, and full attention before Gemma 3's sixth layer. */
const changes: Partial<Readonly<Record<Family, object>>> = {
  mistral: { sliding_window: null },
  ministral: { sliding_window: null, layer_types: null },
  gemma2: { query_pre_attn_scalar: 6 },
  gemma3: { layer_types: null },
}

/** The fixture as llama.cpp has it. → the folder */
export const writeDecoder = async (folder: string, family: Family): Promise<string> => {
  await cp(join(fixtures, family), folder, { recursive: true })
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...changes[family] }))
  return folder
}

/** A model of random numbers whose probabilities are far from equal. → the folder */
export const writeRandomDecoder = async (folder: string, config: Readonly<Record<string, unknown>>): Promise<string> => {
  const { model } = parseConfigFile(JSON.stringify(config), 'config.json')
  const shapes = [...model.spec.tensors, ...(model.causalHead?.().frozen ?? [])]
  const tensors = shapes.map(([name, shape], i) => {
    const deviation = /^(embed|w[tp]e)/.test(name) ? 0.15 : shape.length > 1 ? 1.5 / Math.sqrt(shape[1] ?? 1) : 0.2
    const data = Float32Array.from(
      normals(9, 'initialization', i, elementCount(shape)),
      (x) => (/(norm|ln_\w)\.weight$/.test(name) && !model.type.startsWith('gemma') ? 1 : 0) + deviation * x,
    )
    return [model.naming.stored(name), { shape: model.transposed?.(name) === true ? shape.toReversed() : shape, data }] as const
  })
  await mkdir(folder)
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  await writeFile(join(folder, 'model.safetensors'), writeSafetensors(new Map(tensors)))
  return folder
}

/** The fixture as the gguf package wrote it. */
export const baseOf = (family: Family): string => join(fixtures, family, 'base.gguf')

/** An adapter of random numbers, as a run leaves it. @param settings of the method @param deviation of B's numbers */
export const writeRandomAdapter = async (
  folder: string,
  model: string,
  settings: Readonly<Record<string, unknown>>,
  deviation = 0.3,
): Promise<string> => {
  const base = await openModelFolder(model)
  const resolved = resolveSettings(settings)
  const method = findMethod(resolved.method)
  const phase = method.phases.start(base.model.spec, resolved)
  const tensors = method.train.tensors(phase, resolved).map(({ name, shape }, i) => {
    const data = normals(
      5,
      'initialization',
      i,
      shape.reduce((a, b) => a * b, 1),
    )
    return [name, { shape, data: Float32Array.from(data, (x) => deviation * x) }] as const
  })
  const adapter: Adapter = {
    ...{ model: base.model, baseModelName: model, method, settings: resolved, phase, tensors: new Map(tensors) },
    ...{ outputs: causalOutputs, head: new Map(), labelNames: undefined },
  }
  await mkdir(folder)
  await writeAdapter(folder, adapter, base)
  return folder
}

/** As llama.cpp gives them: by prompt and token. */
export const ourProbabilities = async (
  model: string,
  adapter: string | null,
  prompts: readonly (readonly number[])[],
): Promise<readonly (readonly (readonly number[])[])[]> => {
  const decoder = await openTextDecoder(await loadTextModel({ model, adapter }), { precision: 'float32', threads: 1 }, findDevice('cpu'))
  try {
    const answers: (readonly (readonly number[])[])[] = []
    for (const ids of prompts) {
      const beginnings = ids.map((_, i) => ids.slice(0, i + 1))
      answers.push((await decoder.begin(beginnings)).logits().map((row) => softmax([...row])))
    }
    return answers
  } finally {
    await decoder.release()
  }
}

const softmax = (row: readonly number[]): readonly number[] => {
  const powers = row.map((x) => Math.exp(x - Math.max(...row)))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}
