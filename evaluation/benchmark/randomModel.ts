/** A random model on disk, of RoBERTa-base's shape, of SmolLM2-135M's or of any other, so that a benchmark opens it as it would any other. */
import { rmSync } from 'node:fs'
import { copyFile, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { elementCount } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { layOut } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { uniforms } from '../../accelerated/parameters/random.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import type { BenchmarkKind } from './cases.js'

export type BenchmarkShape = { readonly layers: number; readonly sequence: number; readonly vocabulary: number }

/** `remove` deletes it, and so does a signal that ends the process. */
export type RandomModel = { readonly folder: string; readonly remove: () => void }

/** A small vocabulary changes no timing if the word table is not trained, since it is in no product. */
export const smallVocabulary = 1000
/** RoBERTa-base's own: `full` trains it. */
export const robertaVocabulary = 50_265
/** SmolLM2's: a decoder's head multiplies by it. */
export const decoderVocabulary = 49_152

const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** A random model of a benchmark's shape, in a temporary folder. */
export const randomModel = (shape: BenchmarkShape, kind: BenchmarkKind = 'encoder'): Promise<RandomModel> =>
  temporaryModel(benchmarkConfigs[kind](shape))

/** Writes a random model into a temporary folder. @param config of config.json */
export const temporaryModel = async (config: object): Promise<RandomModel> => {
  const folder = await mkdtemp(join(tmpdir(), 'salora-bench-'))
  const remove = (): void => {
    for (const signal of endings) process.off(signal, leave)
    rmSync(folder, { recursive: true, force: true })
  }
  const leave = (signal: NodeJS.Signals): void => {
    remove()
    process.kill(process.pid, process.platform === 'win32' ? 'SIGKILL' : signal) // Windows cannot send SIGHUP
  }
  for (const signal of endings) process.once(signal, leave)
  try {
    await writeRandomModel(folder, config)
    return { folder, remove }
  } catch (thrown) {
    remove()
    throw thrown
  }
}

/** config.json of each shape, for texts of `sequence` tokens. */
export const benchmarkConfigs: Readonly<Record<BenchmarkKind, (shape: BenchmarkShape) => object>> = {
  encoder: ({ layers, sequence, vocabulary }) => ({
    ...{ model_type: 'roberta', vocab_size: vocabulary, pad_token_id: 1, max_position_embeddings: sequence + 2, type_vocab_size: 1 },
    ...{ hidden_size: 768, num_hidden_layers: layers, num_attention_heads: 12, intermediate_size: 3072 },
    ...{ layer_norm_eps: 1e-5, hidden_act: 'gelu' },
  }),
  /** two and a half times the layers of RoBERTa-base, each a third of the size; its head is its word table */
  decoder: ({ layers, sequence, vocabulary }) => ({
    ...{ model_type: 'llama', vocab_size: vocabulary, pad_token_id: 1, max_position_embeddings: Math.max(sequence, 256) },
    ...{ hidden_size: 576, num_hidden_layers: Math.round(2.5 * layers), num_attention_heads: 9, num_key_value_heads: 3 },
    ...{ intermediate_size: 1536, rms_norm_eps: 1e-5, rope_theta: 100_000, tie_word_embeddings: true, hidden_act: 'silu' },
  }),
}

/** config.json, model.safetensors and a real tokenizer, one tensor in memory at a time. */
export const writeRandomModel = async (folder: string, config: object): Promise<void> => {
  const [configFile, text] = [join(folder, 'config.json'), JSON.stringify(config)]
  const shapes = parseConfigFile(text, configFile).model.spec.tensors
  const { header, order } = layOut([...shapes].map(([name, shape]) => ({ name, dtype: 'F32', shape })))
  async function* content(): AsyncGenerator<Uint8Array> {
    yield header
    for (const [i, name] of order.entries()) yield new Uint8Array(drawWeights(name, shapes.get(name) ?? [], i).buffer)
  }
  await writeFileAtomically(configFile, text)
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(embeddedModel, name), join(folder, name))
  await writeFileAtomically(join(folder, 'model.safetensors'), content())
}

/**
 * Norms are 1. Other tensors repeat a stretch of random numbers of a trained model's size, each from another start. Equal matrices would share one
 * packed copy in ONNX Runtime, and trained models have none.
 */
const stretch = Float32Array.from(uniforms(0, 'initialization', 0, 65_536), (u) => 0.07 * (u - 0.5))
const drawWeights = (name: string, shape: readonly number[], number: number): Float32Array => {
  if (/norm\.weight$/i.test(name)) return new Float32Array(elementCount(shape)).fill(1)
  return new Float32Array(elementCount(shape)).map((_, i) => stretch[(i + 9_973 * number) % stretch.length] as number)
}
