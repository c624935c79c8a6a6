/** Trained rows of tokens in PEFT's format: trainable_token_indices lists the tokens, and each table has a tensor of their rows. */
import { z } from 'zod'
import { extendedByTokenizer } from '../../checkpoints/extendVocabulary.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import type { TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import { tableRows } from '../../checkpoints/frozenWeights.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { rowsName, type TokenRows } from '../../methods/trainedTokens.js'
import type { Model, TensorShape } from '../../models/architecture.js'
import { isBare, type ModelOutputs } from '../../models/modelOutputs.js'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { fileInFolder } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import type { Adapter, Weights } from '../adapter.js'
import { readWeights } from '../adapterTensors.js'
import { adapterConfigLimit } from '../saloraJson.js'

/** Tokens of one adapter, in this program's files and in others'. */
const mostIndices = 16_384

const indices = z
  .array(z.int().min(0).max(10_000_000))
  .max(mostIndices)
  .refine((ids) => new Set(ids).size === ids.length, { error: 'expected each token once' })

/** A list is of the embeddings; a table has the names of modules. */
export const tokenIndices = z.union([indices, z.record(z.string().min(1).max(1_000), indices)]).nullish()
type TokenIndices = z.infer<typeof tokenIndices>

/** The prefix of every tensor's name: PEFT wraps a model twice. */
export const peftPrefix = 'base_model.model.'

/** The path of a table's module. Without a head, the model is the encoder itself. */
const toModulePath = (model: Model, outputs: ModelOutputs, table: string): string =>
  (isBare(model, outputs) ? table : model.naming.stored(table)).replace(/\.weight$/, '')

const toKey = (path: string): string => `${peftPrefix}${path}.token_adapter.trainable_tokens_delta`

/** The configuration's keys. Adapters without rows have none: older versions of PEFT do not know the key. */
export const tokenKeys = ({ method: { tokens = [] }, model, outputs }: Pick<Adapter, 'method' | 'model' | 'outputs'>): object => {
  const [first, ...others] = tokens
  if (first === undefined) return {}
  const toModuleName = (table: string): string => toModulePath(model, outputs, table).replace(/^.*\./, '')
  const isList = others.length === 0 && first.table === model.spec.words
  return { trainable_token_indices: isList ? first.ids : Object.fromEntries(tokens.map(({ table, ids }) => [toModuleName(table), ids])) }
}

/** The rows' tensors by key. */
export const rowTensors = ({
  method: { tokens = [] },
  model,
  outputs,
  tensors,
}: Pick<Adapter, 'method' | 'model' | 'outputs' | 'tensors'>): readonly (readonly [string, Weights])[] =>
  tokens.map(({ table }) => {
    const weights = tensors.get(rowsName(table))
    if (weights === undefined) throw new Error(`rowTensors: expected ${rowsName(table)} among the adapter's tensors, got none`)
    return [toKey(toModulePath(model, outputs, table)), weights]
  })

/** Rows of a table as a configuration names them: ids in the order of the file's rows. */
export type NamedRows = { readonly table: string; readonly ids: readonly number[]; readonly key: string; readonly shape: TensorShape }

/** @throws InputError for modules that are no tables of words */
export const parseTokenIndices = (
  given: TokenIndices,
  model: Model,
  outputs: ModelOutputs,
  tensors: ReadonlyMap<string, TensorEntry>,
  where: string,
): readonly NamedRows[] => {
  if (given == null || (Array.isArray(given) && given.length === 0)) return []
  const { words, embeddingSize, hiddenSize } = model.spec
  const output = model.causalHead?.().words ?? words
  const byTable = new Map<string, readonly number[]>()
  for (const [name, ids] of Array.isArray(given) ? [[null, given] as const] : Object.entries(given)) {
    const table = [words, output].find((one) => name === null || `.${toModulePath(model, outputs, one)}`.endsWith(`.${name}`))
    const isTied = table === undefined && output === words && name === 'lm_head'
    if (table === undefined && !isTied)
      throw inputError(where, 'trainable_token_indices of the embeddings or the output matrix', quoted(name ?? ''))
    if (table !== undefined) byTable.set(table, ids)
    else if (Array.isArray(given) || Object.values(given).some((other) => other.join() !== ids.join()))
      throw inputError(where, 'the same tokens of both tables, as they are one', 'others')
  }
  return [...byTable].map(([table, ids]) => {
    const [key = '', bare = ''] = [toKey(toModulePath(model, outputs, table)), toKey(table.replace(/\.weight$/, ''))]
    return {
      table,
      ids,
      key: tensors.has(key) ? key : tensors.has(bare) ? bare : key,
      shape: [ids.length, table === words ? embeddingSize : hiddenSize],
    }
  })
}

/** The rows with their numbers, sorted by id, and their tensors by name. @throws InputError for ids that the model lacks */
export const readRows = async (
  named: readonly NamedRows[],
  base: ModelFolder,
  outputs: ModelOutputs,
  tensors: ReadonlyMap<string, TensorEntry>,
  where: string,
): Promise<{ readonly tokens: readonly TokenRows[]; readonly weights: readonly (readonly [string, Weights])[] }> => {
  const { vocabularySize } = base.model
  const tokens: TokenRows[] = []
  const weights: (readonly [string, Weights])[] = []
  for (const { table, ids, key } of named) {
    const beyond = ids.find((id) => id >= vocabularySize)
    if (beyond !== undefined)
      throw inputError(
        where,
        `tokens below the vocabulary's ${vocabularySize} (the adapter's tokenizer.json has new ones, or a resized model)`,
        String(beyond),
      )
    const sorted = [...ids].sort((a, b) => a - b)
    const { shape, rows } = await tableRows(base, table, sorted)
    tokens.push({ table, shape, ids: sorted, newFrom: base.added?.from ?? Infinity, initial: rows })
    const { data } = await readWeights(tensors.get(key) as TensorEntry)
    const width = shape[1]
    const ordered = sorted.flatMap((id) => [...data.subarray(ids.indexOf(id) * width, (ids.indexOf(id) + 1) * width)])
    weights.push([rowsName(table), { shape: [ids.length, width], data: Float32Array.from(ordered) }])
  }
  if (named.length > 0 || base.added !== undefined) checkAddedRows(base, tokens, outputs, where)
  return { tokens, weights }
}

/** Every row beyond the end of a table that the adapter reads must be its own. */
const checkAddedRows = ({ model, frozen }: ModelFolder, tokens: readonly TokenRows[], { head }: ModelOutputs, where: string): void => {
  const { words } = model.spec
  const read = new Set([words, ...(head === 'causal' ? [model.causalHead?.().words ?? words] : [])])
  for (const table of read) {
    const rows = frozen.get(table)?.shape[0] ?? 0
    const ids = new Set(tokens.find((one) => one.table === table)?.ids)
    for (let id = rows; id < model.vocabularySize; id++)
      if (!ids.has(id)) throw inputError(where, `a row of ${table} for each new token`, `none for token ${id}`)
  }
}

/** The base model with the new tokens of an adapter's own tokenizer, if its configuration trains rows or its tables are resized. @throws InputError */
export const withAdapterTokens = async (folder: string, base: ModelFolder, storage: Storage, isResized = false): Promise<ModelFolder> => {
  const file = await fileInFolder(folder, 'adapter_config.json', storage)
  if (file === undefined) return base
  const json = parseJson(await readText(file, adapterConfigLimit, storage), file)
  const given = (typeof json === 'object' && json !== null ? json : {}) as { readonly trainable_token_indices?: unknown }
  const hasTokens = isResized || given.trainable_token_indices != null
  const tokenizer = hasTokens ? await fileInFolder(folder, 'tokenizer.json', storage) : undefined
  return tokenizer === undefined ? base : extendedByTokenizer(base, await readText(tokenizer, undefined, storage), tokenizer)
}
