/** The files of a run or an export that may be published: adapter or model, tokenizer and card. Data, checkpoints and logs stay here. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { isHubId } from '../../accelerated/checkpoints/hub/hubRules.js'
import type { UploadFile } from '../../accelerated/checkpoints/hub/hubUpload.js'
import { inputError, quoted, reason, formatValue } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemInputError } from '../../accelerated/errors/systemError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { adapterConfigLimit } from '../../accelerated/formats/saloraJson.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import { cardFile } from '../run/modelCard.js'
import { readRunResult } from '../run/runFiles.js'

export type SharedFiles = {
  /** the folder of the files: a run's `adapter`, or an export */
  readonly folder: string
  readonly files: readonly UploadFile[]
  /** other files of the folder, which stay here */
  readonly leftOut: readonly string[]
  /** what the publisher should know */
  readonly warnings: readonly string[]
}

const config = 'adapter_config.json'

/** Layouts of PEFT, adapters, Transformers, sentence-transformers, transformers.js and llama.cpp. */
const published: readonly RegExp[] = [
  /^README\.md$/,
  /^(adapter_config|head_config|salora|config|generation_config|preprocessor_config)\.json$/,
  /^(adapter_model|adapter|model_head|model|model-\d{5}-of-\d{5})\.safetensors$/,
  /^model\.safetensors\.index\.json$/,
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$/,
  /^(merges|vocab)\.txt$/,
  /^chat_template\.(jinja|json)$/,
  /^(modules|sentence_bert_config|config_sentence_transformers)\.json$/,
  /^\d_\w+\/config\.json$/,
  /^onnx\/[\w.-]+\.onnx(_data(_\d+)?)?$/,
  /^(adapter|model)\.gguf$/,
  /^Modelfile$/,
]

/** Each line is a whole adapter or model; one is enough. */
const complete: readonly (readonly RegExp[])[] = [
  [/^adapter_config\.json$/, /^adapter(_model)?\.safetensors$/],
  [/^config\.json$/, /^model\.safetensors(\.index\.json)?$/],
  [/^config\.json$/, /^onnx\/.*\.onnx$/],
  [/^(adapter|model)\.gguf$/],
]

/**
 * @param source a run's folder, an adapter's, or an export's
 * @param baseModel the base model's hub id, where the adapter names a folder
 * @throws InputError without an adapter or a model, for a link that leads out of the folder, and for a local base model
 */
export const publishableFiles = async (source: string, baseModel: string | null): Promise<SharedFiles> => {
  const isRun = await stat(join(source, 'adapter')).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
  const folder = isRun ? join(source, 'adapter') : source
  const names = await namesIn(folder)
  const shared = names.filter((name) => published.some((pattern) => pattern.test(name)))
  if (!complete.some((patterns) => patterns.every((pattern) => shared.some((name) => pattern.test(name)))))
    throw inputError(
      source,
      "a run with an adapter, an adapter's folder or an export",
      shared.length === 0 ? 'none of their files' : `only ${shared.join(', ')}`,
    )
  const base = await chooseBase(folder, shared, baseModel)
  const files = await Promise.all(shared.map((name) => uploadFile(folder, name, base)))
  return {
    folder,
    files,
    leftOut: names.filter((name) => !shared.includes(name)),
    warnings: [
      ...(isRun ? await runWarnings(source) : []),
      ...(shared.includes(cardFile) ? [] : ['there is no README.md: the page will have no model card']),
      ...(await pathWarnings(files, source)),
    ],
  }
}

/** Folders in which files may be. */
const deepest = 2

/** Names of files, with slashes, in order. @throws InputError also for a link that leads out of the folder */
const namesIn = async (folder: string, within = '', depth = 0): Promise<readonly string[]> => {
  const entries = await readdir(join(folder, within), { withFileTypes: true }).catch((thrown: unknown) => {
    throw systemInputError(
      join(folder, within),
      'the folder of a run or an export',
      thrown,
      isAbsent(thrown) ? 'none there' : reason(thrown),
    )
  })
  const found = await Promise.all(
    entries.map(async (entry): Promise<readonly string[]> => {
      const name = within === '' ? entry.name : `${within}/${entry.name}`
      if (entry.isDirectory()) return depth < deepest ? namesIn(folder, name, depth + 1) : [`${name}/`]
      await fileInFolder(folder, name)
      return [name]
    }),
  )
  return found.flat().sort()
}

/** A given base model, where the adapter's own is not its hub id. */
const chooseBase = async (folder: string, names: readonly string[], baseModel: string | null): Promise<string | null> => {
  if (baseModel !== null && !isHubId(baseModel))
    throw inputError(option('baseModel'), 'a hub id like FacebookAI/roberta-base', quoted(baseModel))
  if (!names.includes(config)) return null
  const file = join(folder, config)
  const { base_model_name_or_path: peft, model_name: adapters } = parseJson(await readText(file, adapterConfigLimit), file) as AdapterConfig
  const recorded = peft ?? adapters
  if (baseModel !== null) return baseModel
  if (typeof recorded !== 'string' || !isHubId(recorded))
    throw inputError(
      file,
      words`the hub id of its base model, for others' use (give it by ${option('baseModel')}, or export ${option('format')} merged)`,
      recorded === undefined ? 'none' : `${formatValue(recorded)}, which only this machine has`,
    )
  return null
}

type AdapterConfig = { readonly base_model_name_or_path?: unknown; readonly model_name?: unknown }

const uploadFile = async (folder: string, path: string, base: string | null): Promise<UploadFile> => {
  const file = join(folder, path)
  const text =
    base === null
      ? null
      : path === config
        ? withBase(await readFile(file, 'utf8'), base)
        : path === cardFile
          ? cardWithBase(await readFile(file, 'utf8'), base)
          : null
  return text === null
    ? { path, bytes: (await stat(file)).size, content: { file } }
    : { path, bytes: Buffer.byteLength(text), content: { text } }
}

/** The same text with another base model: PEFT's key, or that of the adapters library. */
const withBase = (text: string, base: string): string =>
  text.replace(/("(?:base_model_name_or_path|model_name)": )"(?:[^"\\]|\\.)*"/, (_, key: string) => `${key}${JSON.stringify(base)}`)

/** A card of ours names the base model only if it has a hub id. */
const cardWithBase = (card: string, base: string): string =>
  card.replace(
    /^(---\nlibrary_name: [\w-]+\n)(?!base_model: )/,
    (_, head: string) => `${head}base_model: ${JSON.stringify(base)}\nbase_model_relation: adapter\n`,
  )

const runWarnings = async (run: string): Promise<readonly string[]> => {
  const result = await readRunResult(run)
  if (result === null) return ['the run has not finished: its adapter is the best one so far']
  return result.interrupted ? ['the run was interrupted: its adapter is not of the last step'] : []
}

/** Bytes of a text file that is searched for folders. */
const longestText = 1_000_000

/** Texts that name a folder of this machine. */
const pathWarnings = async (files: readonly UploadFile[], source: string): Promise<readonly string[]> => {
  const folders = [resolve(source), homedir()].filter((folder) => folder.length > 1)
  const texts = files.filter(({ path, bytes }) => /\.(md|json|jinja)$/.test(path) && bytes <= longestText)
  const naming = await Promise.all(
    texts.map(async ({ path, content }) => {
      const text = 'text' in content ? content.text : await readFile(content.file, 'utf8')
      return folders.some((folder) => text.includes(folder)) ? [path] : []
    }),
  )
  return naming.flat().map((path) => `${path} names a folder of this machine`)
}
