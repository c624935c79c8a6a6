/** A random model of 2 layers × 16 in Hugging Face layout, small enough to train in a second; its tokenizer is the embedded one. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { elementCount } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { writeSafetensors, type WritableTensor } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { normals } from '../../accelerated/parameters/random.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'

const vocabulary = (): number => {
  const { model, added_tokens: added } = JSON.parse(readFileSync(join(embeddedModel, 'tokenizer.json'), 'utf8')) as {
    readonly model: { readonly vocab: Readonly<Record<string, number>> }
    readonly added_tokens: readonly { readonly id: number }[]
  }
  return 1 + Math.max(...Object.values(model.vocab), ...added.map(({ id }) => id))
}

export const tinyConfig = {
  model_type: 'roberta',
  vocab_size: vocabulary(),
  ...{ hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 32, max_position_embeddings: 80 },
  ...{ type_vocab_size: 1, layer_norm_eps: 1e-5, pad_token_id: 1, hidden_act: 'gelu' },
}

export const tinyTensors = (): Map<string, WritableTensor> =>
  new Map(
    [...parseConfigFile(JSON.stringify(tinyConfig), 'config.json').model.spec.tensors].map(([name, shape], i) => [
      `roberta.${name}`,
      {
        shape,
        data: name.endsWith('LayerNorm.weight')
          ? new Float32Array(elementCount(shape)).fill(1)
          : Float32Array.from(normals(1, 'initialization', i, elementCount(shape)), (x) => 0.2 * x),
      },
    ]),
  )

/** Writes the model's files; `files` replaces some of them. */
export const writeTinyModel = async (folder: string, files: Readonly<Record<string, string | Uint8Array>> = {}): Promise<string> => {
  await mkdir(folder, { recursive: true })
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(embeddedModel, name), join(folder, name))
  const all = {
    'config.json': JSON.stringify(tinyConfig),
    'model.safetensors': files['model.safetensors'] ?? writeSafetensors(tinyTensors()),
    ...files,
  }
  for (const [name, content] of Object.entries(all)) await writeFile(join(folder, name), content)
  return folder
}
