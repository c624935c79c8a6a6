/** Tiny models of both families, each with an adapter of ranks 0 to 4 as pruning leaves it, a random head and class names. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { saveAdapter } from '../../accelerated/formats/peft/peft.js'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { elementCount } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { normals } from '../../accelerated/parameters/random.js'
import { wordPieceJson } from '../support/wordPieceJson.js'
import { tinyConfig, tinyTensors, writeTinyModel } from './tinyModel.js'

const letters = "abcdefghijklmnopqrstuvwxyz0123456789.,;!?'"

/** A WordPiece tokenizer whose pieces are single characters. */
const wordPiece = wordPieceJson([...letters, ...[...letters].map((letter) => `##${letter}`)])

const bertConfig = {
  ...tinyConfig,
  model_type: 'bert',
  vocab_size: Object.keys(wordPiece.model.vocab).length,
  max_position_embeddings: 140,
  type_vocab_size: 2,
  pad_token_id: 0,
}

/** Properties of this file that no file made from it has. */
export const ofTheFileOnly = {
  torch_dtype: 'float16',
  _name_or_path: 'elsewhere',
  num_labels: 7,
  dtype: 'float16',
  quantization_config: {},
  'transformers.js_config': { use_external_data_format: true },
  auto_map: { AutoModel: 'theirs.Model' },
}

export type Family = 'roberta' | 'bert'

/** Writes the model; float16 halves its size on disk. → the folder */
export const writeFamily = async (folder: string, family: Family, dtype: 'F32' | 'F16' = 'F32'): Promise<string> => {
  const stored = (tensors: ReturnType<typeof tinyTensors>) =>
    writeSafetensors(new Map([...tensors].map(([name, tensor]) => [name, { ...tensor, dtype }])))
  if (family === 'roberta') return writeTinyModel(folder, { 'model.safetensors': stored(tinyTensors()) })
  const shapes = parseConfigFile(JSON.stringify(bertConfig), 'config.json').model.spec.tensors
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...bertConfig, ...ofTheFileOnly }))
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(wordPiece))
  await writeFile(
    join(folder, 'model.safetensors'),
    stored(
      new Map(
        [...shapes].map(([name, shape], i) => [
          `bert.${name}`,
          {
            shape,
            data: name.endsWith('LayerNorm.weight') ? new Float32Array(elementCount(shape)).fill(1) : random(1, i, shape, 0.2).data,
          },
        ]),
      ),
    ),
  )
  return folder
}

const random = (seed: number, stream: number, shape: readonly number[], scale = 1) => ({
  shape,
  data: Float32Array.from(normals(seed, 'initialization', stream, elementCount(shape)), (x) => scale * x),
})

/** Ranks 4, 3, 2, 1, 0, 4, … down the matrices; rank 4 before pruning, alpha 8. → the folder */
export const writeAdapter = async (
  folder: string,
  model: string,
  labelNames: readonly string[] = ['bad', 'good', 'neither'],
): Promise<string> => {
  const { model: encoder } = await openModelFolder(model)
  const outputs: ModelOutputs = {
    head: 'sequence',
    labels: labelNames.length,
    problemType: labelNames.length === 1 ? 'regression' : 'single_label_classification',
  }
  await mkdir(folder, { recursive: true })
  await saveAdapter(folder, {
    model: encoder,
    outputs,
    baseModelName: model,
    rank: 4,
    alpha: 8,
    labelNames,
    modules: new Map(
      encoder.spec.matrices.map(({ name, d, k }, i) => [
        name,
        { A: random(2, i, [4 - (i % 5), k], 0.3), B: random(3, i, [d, 4 - (i % 5)], 0.3) },
      ]),
    ),
    head: new Map([...encoder.sequenceHead(outputs.labels).tensors].map(([name, shape], i) => [name, random(4, i, shape)])),
  })
  return folder
}
