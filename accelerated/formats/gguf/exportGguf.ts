/** The `gguf-merged` export: a whole decoder in GGUF with tokenizer and chat template, for llama.cpp and what is built on it. */
import { ggufName, ggufOffset, interleaveHeads, permutedHeads, requireGguf } from '../../checkpoints/gguf/decoderNames.js'
import { tensorTypes, type TensorType } from '../../checkpoints/gguf/ggufTypes.js'
import { ggufChunks, type WrittenTensor } from '../../checkpoints/gguf/writeGguf.js'
import { namesLimit } from '../../checkpoints/labelNames.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { encode } from '../../checkpoints/safetensors/writeSafetensors.js'
import type { Model } from '../../models/architecture.js'
import type { GgufLayout, WrittenKeys, WrittenValue } from '../../models/gguf.js'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath, baseName, requiredFile } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { checkFloat16, mergedTensors, type MergedTensor, type TrainedModel } from '../mergedWeights.js'
import type { OnnxPrecision } from '../onnxWeights.js'
import { ggufModelFiles } from '../../checkpoints/gguf/ggufHeader.js'
import { toFloat16 } from '../../storage/float16.js'
import { tokenTypes } from '../../checkpoints/gguf/ggufTokenizerJson.js'
import { readChatTemplate } from '../../checkpoints/chatTemplate/chatTemplate.js'
import { namedEosTokenIds } from '../../checkpoints/tokenizer/eosToken.js'
import { parseTokenizerFile, type TokenizerFile } from '../../checkpoints/tokenizer/tokenizerFile.js'
import { wordPatterns } from '../../checkpoints/tokenizer/tokenizerSchema.js'
import { inputError, quoted } from '../../errors/inputError.js'

/** The type of matrices by precision, and its number in the key general.file_type. */
const written = { float32: ['F32', 0], float16: ['F16', 1], int8: ['Q8_0', 7] } as const

type GgufOptions = { readonly precision?: OnnxPrecision; readonly storage?: Storage }

/**
 * Writes model.gguf and a Modelfile for Ollama into an existing folder. int8 is Q8_0. Vectors are float32, as in llama.cpp's own files.
 * @throws InputError for a tokenizer or a YaRN scaling that llama.cpp cannot be, and for numbers beyond the precision's range
 */
export const exportGguf = async (
  folder: string,
  trained: TrainedModel,
  { precision = 'float32', storage = nodeFiles }: GgufOptions = {},
): Promise<void> => {
  const { base } = trained
  const file = joinPath(folder, ggufModelFiles.model)
  const layout = await familyLayout(base)
  const { architecture } = requireGguf(base.model)
  const [type, fileType] = written[precision]
  const keys: WrittenKeys = [
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: writtenName(base) }],
    ['general.file_type', { type: 'uint32', value: fileType }],
    ...(type === 'Q8_0' ? [['general.quantization_version', { type: 'uint32', value: 2 }] as const] : []),
    ...layout.keys.map(([key, value]) => [`${architecture}.${key}`, value] as const),
    ...(await tokenizerKeys(base)),
  ]
  const tensors = [...mergedTensors(trained)].map(([name, tensor]) => writtenTensor(base.model, name, tensor, type, file))
  await storage.write(file, ggufChunks(keys, [...Object.entries(layout.factors).map(factorTensor), ...tensors]))
  await storage.write(joinPath(folder, ggufModelFiles.ollama), modelfile)
}

/** In a model named phi-3 or phi3, llama.cpp removes the blanks after special tokens, and expects Phi-3's own ones. */
export const writtenName = ({ baseModelName }: Pick<ModelFolder, 'baseModelName'>): string =>
  baseName(baseModelName.replaceAll('\\', '/')).replace(/(phi)-?(?=3)/gi, '$1 ')

const familyLayout = async ({ folder, storage, model }: ModelFolder): Promise<GgufLayout> => {
  const file = joinPath(folder, 'config.json')
  return requireGguf(model).write(parseJson(await readText(file, namesLimit, storage), file) as object, file)
}

const factorTensor = ([name, numbers]: readonly [string, readonly number[]]): WrittenTensor => {
  const [shape, data] = [[numbers.length], Float32Array.from(numbers)]
  return { name, shape, type: 'F32', bytes: async () => encode({ shape, data }) }
}

/** A row that is no whole number of blocks is F16, as llama.cpp's own conversion has it. */
const writtenTensor = (model: Model, name: string, { shape, read }: MergedTensor, matrixType: TensorType, file: string): WrittenTensor => {
  const width = shape.length === 1 ? 1 : (shape[1] ?? 1)
  const isVector = shape.length === 1 || ggufName(name, model) === 'position_embd.weight' // llama.cpp's script keeps positions as vectors
  const type = isVector ? 'F32' : width % tensorTypes[matrixType].block === 0 ? matrixType : 'F16'
  const headSize = permutedHeads(model, name.replace(/\.(weight|bias)$/, ''))
  const offset = ggufOffset(model, name)
  return {
    name: ggufName(name, model),
    shape,
    type,
    bytes: async () => {
      const numbers = await read()
      const data = (headSize === null ? numbers : interleaveHeads(numbers, width, headSize)).map((x) => x + offset)
      if (type !== 'F32') checkFloat16(data, name, file, type === 'Q8_0' ? 127 : 1)
      if (type === 'Q8_0') return quantizeQ80(Float32Array.from(data))
      return encode({ shape, data, dtype: type === 'F16' ? 'F16' : 'F32' })
    },
  }
}

/** Ollama takes the chat template from the model. */
const modelfile = `# ollama create NAME -f Modelfile
# A model that is merged, as this one, runs in every version. ADAPTER with an adapter in GGUF works up to version 0.34.0; 0.34.1 refuses it.
FROM ./${ggufModelFiles.model}
`

/** Q8_0 of llama.cpp: blocks of 32 numbers, each a float16 scale and 32 int8 levels. */
const [block, blockBytes] = [32, 34]

/** The scale is the largest magnitude / 127; levels are rounded half away from zero, in float32 as ggml computes them. numbers: whole blocks */
export const quantizeQ80 = (numbers: Float32Array): Uint8Array => {
  const blocks = numbers.length / block
  const bytes = new Uint8Array(blocks * blockBytes)
  const levels = new Int8Array(bytes.buffer)
  const scales = new Float32Array(blocks)
  for (let i = 0; i < blocks; i++) {
    let largest = 0
    for (let j = i * block; j < (i + 1) * block; j++) largest = Math.max(largest, Math.abs(numbers[j] ?? NaN))
    const scale = Math.fround(largest / 127)
    scales[i] = scale
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
    for (let j = 0; j < block; j++) {
      const level = Math.fround((numbers[i * block + j] ?? NaN) * inverse)
      const size = Math.abs(level)
      const floor = Math.floor(size)
      levels[i * blockBytes + 2 + j] = Math.sign(level) * (floor + Math.floor(2 * (size - floor)))
    }
  }
  const halves = new Uint8Array(toFloat16(scales).buffer)
  for (let i = 0; i < blocks; i++) bytes.set(halves.subarray(2 * i, 2 * i + 2), i * blockBytes)
  return bytes
}

// The tokenizer of a model as keys of GGUF: llama.cpp's own code then makes the same tokens. What it cannot do is refused by name.
/** A tokenizer's tokens and their kinds, by id. */
type TokenTable = { readonly tokens: readonly (string | undefined)[]; readonly types: readonly number[] }

type Bpe = Extract<TokenizerFile['model'], { readonly type: 'BPE' }>

/** @throws InputError for a tokenizer that llama.cpp cannot be */
export const tokenizerKeys = async ({ folder, model, storage, tokenizer }: ModelFolder): Promise<WrittenKeys> => {
  const file = await requiredFile(folder, 'tokenizer.json', storage)
  const parsed = parseTokenizerFile(await readText(file, undefined, storage), file, model.vocabularySize, joinPath(folder, 'config.json'))
  const table = buildTokenTable(parsed, model.vocabularySize)
  const ofModel = modelKeys(parsed, table, file)
  const { text: template, special } = await readChatTemplate(folder, storage)
  const { start } = await tokenizer()
  if (start.length > 1) throw inputError(file, 'at most one token before a text, for GGUF', String(start.length))
  const findId = (token: string | undefined): number | undefined => {
    const id = token === undefined ? -1 : table.tokens.indexOf(token)
    return id < 0 ? undefined : id
  }
  const [eos, ...others] = await namedEosTokenIds(folder, model.vocabularySize, storage)
  const ids: Readonly<Record<string, number | undefined>> = {
    bos: start[0] ?? findId(special['bos_token']),
    eos,
    eot: others[0],
    eom: others[1],
    unknown: findId(special['unk_token']),
    padding: findId(special['pad_token']),
  }
  return [
    ...ofModel,
    ['tokenizer.ggml.tokens', { type: 'strings', value: table.tokens.map((token, id) => token ?? `[PAD${id}]`) }],
    ['tokenizer.ggml.token_type', { type: 'int32s', value: table.types }],
    ...Object.entries(ids).flatMap(
      ([name, id]): WrittenKeys => (id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, { type: 'uint32', value: id }]]),
    ),
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: start.length > 0 }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: false }],
    ...(template === null ? [] : [['tokenizer.chat_template', string(template)] as const]),
  ]
}

/** A model may have more rows than tokens. */
const buildTokenTable = ({ model, added_tokens: added }: TokenizerFile, size: number): TokenTable => {
  const tokens = new Array<string | undefined>(size).fill(undefined)
  const types = new Array<number>(size).fill(tokenTypes.unused)
  if (model.type === 'BPE')
    for (const [token, id] of Object.entries(model.vocab as Readonly<Record<string, number>>)) {
      tokens[id] = token
      types[id] = model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(token) ? tokenTypes.byte : tokenTypes.normal
    }
  for (const { id, content, special } of added) {
    tokens[id] = content
    types[id] = special === true ? tokenTypes.control : tokenTypes.userDefined
  }
  const unknown = model.type === 'BPE' && model.byte_fallback === true ? tokens.indexOf(model.unk_token ?? undefined) : -1
  if (unknown >= 0) types[unknown] = tokenTypes.unknown
  return { tokens, types }
}

const string = (value: string): WrittenValue => ({ type: 'string', value })

const modelKeys = (parsed: TokenizerFile, table: TokenTable, file: string): WrittenKeys => {
  const { model, added_tokens: added } = parsed
  if (model.type !== 'BPE') throw inputError(file, 'a tokenizer of pairs of bytes (BPE), for GGUF', `one of type ${model.type}`)
  const trimming = added.find(({ lstrip, rstrip, single_word: single }) => lstrip === true || rstrip === true || single === true)
  if (trimming !== undefined)
    throw inputError(
      file,
      'added tokens that leave the blanks beside them, for GGUF',
      `${quoted(trimming.content)} with lstrip, rstrip or single_word`,
    )
  const affix = [model.continuing_subword_prefix, model.continuing_subword_suffix, model.end_of_word_suffix].find(
    (text) => (text ?? '') !== '',
  )
  if (affix != null) throw inputError(file, 'a BPE without marks of words within its tokens, for GGUF', quoted(affix))
  if (model.byte_fallback === true) return sentencePieceKeys(parsed, model, table.tokens, file)
  const pre = findPreTokenizer(parsed, model)
  if (pre === null)
    throw inputError(
      file,
      "a byte-level tokenizer of GPT-2's, SmolLM's, Llama 3's, Qwen2's, Mistral NeMo's or GPT-4o's kind, for GGUF",
      `normalizer ${toTypeName(parsed.normalizer)}, pre-tokenizer ${toTypeName(parsed.pre_tokenizer)}`,
    )
  return [
    ['tokenizer.ggml.model', string('gpt2')],
    ['tokenizer.ggml.pre', string(pre)],
    ['tokenizer.ggml.merges', { type: 'strings', value: (model.merges as readonly (string | readonly string[])[]).map(mergeText) }],
  ]
}

const mergeText = (merge: string | readonly string[]): string => (typeof merge === 'string' ? merge : merge.join(' '))

/** llama.cpp's name for how a text is cut into words before its bytes are merged; null if it has none. It has no NFC, which Qwen2's files name. */
const findPreTokenizer = ({ normalizer, pre_tokenizer: pre }: TokenizerFile, { ignore_merges: whole }: Bpe): string | null => {
  const parts = pre === null ? [] : pre.type === 'Sequence' ? pre.pretokenizers : [pre]
  const [words, bytes] = parts.length === 1 ? [undefined, parts[0]] : parts
  if (parts.length > 2 || bytes?.type !== 'ByteLevel' || bytes.add_prefix_space !== false) return null
  const usual = normalizer === null && whole !== true && bytes.use_regex !== false
  if (words === undefined) return usual ? 'gpt-2' : null
  if (words.type === 'Digits') return usual && words.individual_digits === true ? 'smollm' : null
  if (words.type !== 'Split' || bytes.use_regex !== false) return null
  const { Regex } = words.pattern
  const isNfc = normalizer === null || normalizer.type === 'NFC'
  if (Regex === wordPatterns.qwen2) return isNfc && whole !== true ? 'qwen2' : null
  if (normalizer !== null) return null
  if (Regex === wordPatterns.llama3) return whole === true ? 'llama-bpe' : 'smaug-bpe'
  if (Regex === wordPatterns.mistralNemo) return whole === true ? 'tekken' : null
  return whole === true ? null : 'gpt-4o'
}

const toTypeName = (component: { readonly type: string } | null): string => component?.type ?? 'none'

/** A tokenizer's tokens by id. */
type Tokens = readonly (string | undefined)[]

/** @throws InputError for blanks that are replaced otherwise, and for merges that no scores give */
const sentencePieceKeys = (parsed: TokenizerFile, model: Bpe, tokens: Tokens, file: string): WrittenKeys => {
  const missing = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`).find(
    (token) => !tokens.includes(token),
  )
  if (missing !== undefined) throw inputError(file, 'a token for every byte, for GGUF', `none for ${missing}`)
  const prefix = blankPrefix(parsed)
  if (prefix === null)
    throw inputError(file, 'blanks that become ▁, as the normalizers of LLaMA 2 and Gemma write them, for GGUF', 'others')
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'default' }],
    ['tokenizer.ggml.scores', { type: 'float32s', value: computeScores(model, tokens, file) }],
    ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: prefix }],
  ]
}

/** Whether a text and each part between added tokens begin with ▁, where every blank becomes one; null if it does not. */
const blankPrefix = ({ normalizer, pre_tokenizer: pre }: TokenizerFile): boolean | null => {
  const parts = normalizer === null ? [] : normalizer.type === 'Sequence' ? normalizer.normalizers : [normalizer]
  const [first, second, ...more] = parts
  const hasPrefix = first?.type === 'Prepend' && first.prepend === '▁'
  const [replace, rest] = hasPrefix ? [second, more] : [first, parts.slice(1)]
  const replaces = replace?.type === 'Replace' && 'String' in replace.pattern && replace.pattern.String === ' ' && replace.content === '▁'
  return pre === null && replaces && rest.length === 0 ? hasPrefix : null
}

/**
 * A token's score is minus the place of its first merge. llama.cpp merges any two tokens whose text together is a token. So the file's merges must
 * be all of these, and those of one token must follow one another.
 */
const computeScores = ({ merges, vocab }: Bpe, tokens: Tokens, file: string): readonly number[] => {
  const ids = vocab as Readonly<Record<string, number>>
  const scores = new Map<string, number>()
  const listed = new Map<string, number>()
  let last = ''
  merges.forEach((merge, rank) => {
    const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ') : (merge as readonly string[])
    const made = left + right
    if (scores.has(made) && made !== last)
      throw inputError(file, 'merges of one token that follow one another, for GGUF', `those of ${quoted(made)} apart`)
    last = made
    if (!scores.has(made)) scores.set(made, -rank)
    listed.set(made, (listed.get(made) ?? 0) + 1)
  })
  for (const token of Object.keys(ids)) {
    let pairs = 0
    for (let at = 1; at < token.length; at++) if (Object.hasOwn(ids, token.slice(0, at)) && Object.hasOwn(ids, token.slice(at))) pairs++
    const isMerged = listed.has(token)
    if (pairs !== (listed.get(token) ?? 0) && (isMerged || !/^<.*>$/.test(token)))
      throw inputError(file, `all ${pairs} merges of ${quoted(token)}, for GGUF`, String(listed.get(token) ?? 0))
  }
  return tokens.map((token) => (token === undefined ? 0 : (scores.get(token) ?? 0)))
}
