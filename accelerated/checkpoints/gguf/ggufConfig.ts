/** config.json of a decoder in GGUF, from the keys of its header and the names of its tensors. */
import { inputError, quoted } from '../../errors/inputError.js'
import { nearest } from '../../errors/nearest.js'
import type { GgufFamily } from '../../models/gguf.js'
import { architectures } from '../../models/index.js'
import type { GgufHeader, GgufValue } from './ggufHeader.js'

/** The numbers of its `factorTensors`, by name. */
type Factors = ReadonlyMap<string, Float32Array>

/** @throws InputError for another architecture, and for what is missing */
export const ggufConfig = ({ keys, tensors }: GgufHeader, factors: Factors, file: string): object => {
  const { architecture, read } = findFamily(keys, file)
  const number = (key: string): number | undefined => readNumber(keys, `${architecture}.${key}`, file)
  const required = (key: string): number => {
    const value = number(key)
    if (value === undefined) throw inputError(file, `the key ${architecture}.${key}`, 'none')
    return value
  }
  const text = (key: string): string | undefined => {
    const value = keys.get(`${architecture}.${key}`)
    return value === undefined ? undefined : String(value)
  }
  const has = (tensor: string): boolean => tensors.has(tensor)
  const {
    architectures: classes,
    model_type: type,
    ...sizes
  } = read({ file, architecture, number, required, text, has, factors: (tensor) => factors.get(tensor) })
  return {
    architectures: classes,
    model_type: type,
    vocab_size: tensors.get('token_embd.weight')?.shape[0] ?? 0,
    ...sizes,
    tie_word_embeddings: !has('output.weight'),
    ...specialIds(keys, file),
    torch_dtype: 'float32',
  }
}

type Reader = Pick<GgufFamily, 'architecture'> & { readonly read: NonNullable<GgufFamily['read']> }

const readers: ReadonlyArray<Reader> = architectures.flatMap(({ gguf }) =>
  gguf?.read == null ? [] : [{ architecture: gguf.architecture, read: gguf.read }],
)

const findFamily = (keys: GgufHeader['keys'], file: string): Reader => {
  if (keys.get('general.type') === 'adapter')
    throw inputError(file, 'a model in GGUF', 'an adapter (it goes into --adapter, as the folder of adapter.gguf)')
  const architecture = String(keys.get('general.architecture'))
  const reader = readers.find((one) => one.architecture === architecture)
  if (reader === undefined) {
    const names = readers.map((one) => one.architecture)
    const near = nearest(architecture, names)
    const remark = near === null ? '' : ` (${quoted(near)} is the nearest)`
    throw inputError(file, `a model of architecture ${names.join(', ')}${remark}`, quoted(architecture))
  }
  const parts = readNumber(keys, 'split.count', file) ?? 1
  if (parts > 1) throw inputError(file, 'a whole model in one file (llama-gguf-split --merge makes one)', `one of ${parts} parts`)
  return reader
}

/** @throws InputError for a value of another type, such as a list with a number for each layer */
const readNumber = (keys: GgufHeader['keys'], key: string, file: string): number | undefined => {
  const value: GgufValue | undefined = keys.get(key)
  if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value)))
    throw inputError(file, `a number in the key ${key}`, 'something else')
  return value
}

/** The tokens that end a text, the usual one first. */
const specialIds = (keys: GgufHeader['keys'], file: string): object => {
  const id = (name: string): number | undefined => readNumber(keys, `tokenizer.ggml.${name}_token_id`, file)
  const ends = [id('eos'), id('eot'), id('eom')].filter((end) => end !== undefined)
  const [bos, pad] = [id('bos'), id('padding')]
  return {
    ...(ends.length === 0 ? {} : { eos_token_id: ends.length === 1 ? ends[0] : [...new Set(ends)] }),
    ...(bos === undefined ? {} : { bos_token_id: bos }),
    ...(pad === undefined ? {} : { pad_token_id: pad }),
  }
}
