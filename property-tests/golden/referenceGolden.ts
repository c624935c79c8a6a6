/** Golden checkpoints and parameters as the reference takes them. */
import { join } from 'node:path'
import { namesLimit } from '../../accelerated/checkpoints/labelNames.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { encoderConfig } from '../../accelerated/models/bert/config.js'
import {
  adaptedModules,
  headShapes,
  tensor,
  type EncoderConfig,
  type Parameters,
  type Tensor,
  type Tensors,
} from '../../reference/index.js'
import { folderOf, type Family, type GoldenTensor } from './golden.js'

export const readReference = async (family: Family): Promise<{ readonly config: EncoderConfig; readonly base: Tensors }> => {
  const { tensors, outputs } = await openModelFolder(folderOf(family))
  const file = join(folderOf(family), 'config.json')
  const sizes = encoderConfig(parseJson(await readText(file, namesLimit), file) as object, file)
  const base = await Promise.all([...tensors].map(async ([name, entry]) => [name, tensor(entry.shape, await readTensor(entry))] as const))
  if (outputs.head !== 'sequence' || outputs.problemType === 'multi_label_classification')
    throw new Error(`readReference: expected a sequence of the reference, got ${JSON.stringify(outputs)}`)
  const taskType = outputs.problemType === 'regression' ? 'regression' : 'classification'
  return { config: { ...sizes, labels: outputs.labels, taskType }, base: Object.fromEntries(base) }
}

/** @param logTheta of all matrices, in their order */
export const referenceParameters = (
  config: EncoderConfig,
  rank: number,
  values: ReadonlyMap<string, GoldenTensor>,
  logTheta: Float64Array,
  lambda: number,
): Parameters => {
  const at = (name: string): Tensor => {
    const value = values.get(name)
    if (value === undefined) throw new Error(`referenceParameters: expected ${name} in the fixture, got ${[...values.keys()].join(', ')}`)
    return tensor(value.shape, value.data)
  }
  return {
    adapters: Object.fromEntries(
      adaptedModules(config).map((name, i) => [
        name,
        { A: at(`${name}.A`), B: at(`${name}.B`), logTheta: tensor([rank], logTheta.slice(i * rank, (i + 1) * rank)) },
      ]),
    ),
    head: Object.fromEntries(Object.keys(headShapes(config)).map((name) => [name, at(name)])),
    lambda,
  }
}
