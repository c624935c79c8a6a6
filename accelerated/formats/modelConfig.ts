/** config.json of an exported model: the base model's, with the head's architecture and classes. */
import type { ModelFolder } from '../checkpoints/modelFolder.js'
import type { Model } from '../models/architecture.js'
import { bareClassName, type ModelOutputs, type SequenceOutputs, type TokenOutputs } from '../models/modelOutputs.js'
import { parseJson } from '../storage/json.js'
import { readText } from '../storage/text.js'
import { joinPath } from '../storage/paths.js'
import type { Storage } from '../storage/storage.js'

export type WrittenPrecision = 'float32' | 'float16'

/** A folder that an export writes into. */
export type TargetFolder = { readonly folder: string; readonly storage: Storage }

/** The folder of the base model. */
export type BaseFolder = Pick<ModelFolder, 'folder' | 'storage'>

/** Keys of config.json that are only true of the base model's own files. */
const baseOnlyKeys = ['_name_or_path', 'num_labels', 'problem_type', 'dtype', 'quantization_config', 'transformers.js_config', 'auto_map']

/** The names of the outputs; `LABEL_0` and so on for those without one, as in other tools. */
export const nameOutputs = ({ labels }: ModelOutputs, names: readonly string[] | undefined): readonly string[] =>
  Array.from({ length: labels }, (_, i) => names?.[i] ?? `LABEL_${i}`)

/** Writes config.json with the keys of `more` added. @throws InputError */
export const writeModelConfig = async (
  { folder, storage }: TargetFolder,
  base: BaseFolder,
  { model, outputs }: { readonly model: Model; readonly outputs: ModelOutputs },
  labelNames: readonly string[] | undefined,
  precision: WrittenPrecision,
  more: object = {},
): Promise<void> => {
  const file = joinPath(base.folder, 'config.json')
  const text = await readText(file, undefined, base.storage)
  const json = parseJson(text, file) as object
  const config = {
    ...Object.fromEntries(Object.entries(json).filter(([key]) => !baseOnlyKeys.includes(key))),
    ...(outputs.head === 'causal'
      ? { architectures: [model.naming.causal] }
      : outputs.head === 'embedding'
        ? { architectures: [bareClassName(model)] }
        : classifierConfig(model, outputs, labelNames)),
    torch_dtype: precision,
    ...more,
  }
  await storage.write(joinPath(folder, 'config.json'), withFractions(jsonText(config), text))
}

/** Keys of fractions, whatever the base model's file has: transformers refuses 30 for 30.0. */
const fractions = ['attn_logit_softcapping', 'final_logit_softcapping']

/** Whole numbers of the base model's file that have a point keep it: Python distinguishes 30.0 from 30. */
const withFractions = (json: string, base: string): string => {
  const pointed = new Set(Array.from(base.matchAll(/"(\w+)"\s*:\s*(-?\d+)\.0+\s*[,}\n]/g), ([, key, number]) => `${key}: ${number}`))
  return json.replace(/"(\w+)": (-?\d+)(?=,?\n)/g, (written, key: string, number: string) =>
    pointed.has(`${key}: ${number}`) || fractions.includes(key) ? `${written}.0` : written,
  )
}

const classifierConfig = (model: Model, outputs: SequenceOutputs | TokenOutputs, labelNames: readonly string[] | undefined): object => {
  const labels = nameOutputs(outputs, labelNames)
  return {
    architectures: [outputs.head === 'token' ? model.naming.tokenClassifier : model.naming.sequenceClassifier],
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    ...(outputs.head === 'token' ? {} : { problem_type: outputs.problemType }),
    ...(model.pooling === 'last' ? { pad_token_id: model.paddingIndex } : {}), // other tools find the last token by it
  }
}

export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
