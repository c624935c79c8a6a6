/**
 * An adapter's safetensors file as the inputs of its base's graph. The file is untrusted: every shape is compared with an input of the base before a
 * number is read, so memory is bounded by the base. Format: https://huggingface.co/docs/safetensors, and PEFT's adapter_config.json.
 */

/** An error that a user of the adapter can act on, in one line: `place: expected X, got Y`. */
export class AdapterError extends Error {
  override readonly name = 'AdapterError'
  constructor(place: string, expected: string, got: string) {
    super(`${place}: expected ${expected}, got ${got}`)
  }
}

/** A float32 input of the base's graph. LoRA matrices are A [maxRank, in] and B [out, maxRank]; the head's outputs have the dimension `labels`. */
export type BaseInput = { readonly name: string; readonly shape: readonly (number | string)[] }

/** What an adapter is checked against. @param digest SHA-256 of the base's weights, if its config.json has it */
export type Base = { readonly inputs: readonly BaseInput[]; readonly digest: string | undefined }

export type FloatTensor = { readonly dims: readonly number[]; readonly data: Float32Array }

export type Adapter = {
  /** one for each input of the base */
  readonly tensors: ReadonlyMap<string, FloatTensor>
  /** of a classifier, in the order of its outputs */
  readonly labels: readonly string[] | null
  /** transformers' `problem_type`, which chooses between softmax and sigmoid */
  readonly problemType: string | null
}

/** The bytes of a file, and the texts of PEFT's other files, if they are not in its metadata. */
export type AdapterBytes = { readonly place: string; readonly weights: Uint8Array; readonly texts: Readonly<Record<string, string>> }

export const configFile = 'adapter_config.json'
export const namesFile = 'salora.json'

/** Bytes of a header, and of a text beside the file. */
export const longestText = 4_000_000
const mostLabels = 10_000

/** No adapter of the base is larger, in bytes. */
export const largestFile = ({ inputs }: Base): number =>
  8 + longestText + 4 * inputs.reduce((sum, { shape }) => sum + shape.map(toSize).reduce((a, b) => a * b, 1), 0)

const toSize = (dimension: number | string): number => (typeof dimension === 'number' ? dimension : mostLabels)

const factorName = /^base_model\.model\.(.*)\.lora_([AB])\.weight$/

type Entry = { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: Uint8Array }

/** @throws AdapterError for a file that is broken, of another base, of a larger rank or of another method, and for a number that is not finite */
export const readAdapter = ({ place, weights, texts }: AdapterBytes, base: Base): Adapter => {
  const { entries, metadata } = readHeader(weights, place)
  const digest = metadata.get('salora_base_sha256')
  if (digest !== undefined && base.digest !== undefined && digest !== base.digest)
    throw new AdapterError(
      place,
      `an adapter of this base (weights ${base.digest.slice(0, 12)}…)`,
      `one of another (${digest.slice(0, 12)}…)`,
    )
  const scale = readScales(parseObject(metadata.get(configFile) ?? texts[configFile], `${place}: ${configFile}`), place)
  const known = new Set(base.inputs.map(({ name }) => name))
  for (const name of entries.keys())
    if (!known.has(name)) throw new AdapterError(place, 'tensors of this base, task and method', JSON.stringify(name.slice(0, 200)))
  if (![...entries.keys()].some((name) => factorName.test(name))) throw new AdapterError(place, 'LoRA matrices', 'none')
  const tensors = new Map(base.inputs.map((input) => [input.name, readInput(input, entries, scale, place)] as const))
  return { tensors, ...readLabels(base, tensors, metadata.get(namesFile) ?? texts[namesFile], place) }
}

/** The adapter that changes nothing. @throws AdapterError for a classifier's base: it has no head */
export const noAdapter = ({ inputs }: Base): Adapter => {
  if (inputs.some(({ name }) => !factorName.test(name)))
    throw new AdapterError('use', "an adapter, as this base has no classifier's head", 'null')
  const tensors = inputs.map(({ name, shape }) => [name, emptyTensor(shape.map(toSize))] as const)
  return { tensors: new Map(tensors), labels: null, problemType: null }
}

const emptyTensor = (dims: readonly number[]): FloatTensor => ({ dims, data: new Float32Array(dims.reduce((a, b) => a * b, 1)) })

/** One input: a factor padded with zeros to the base's rank, B with the scale; or a tensor of the head. */
const readInput = (
  { name, shape }: BaseInput,
  entries: ReadonlyMap<string, Entry>,
  scale: (module: string, rank: number) => number,
  place: string,
): FloatTensor => {
  const [, module, factor] = factorName.exec(name) ?? []
  const entry = entries.get(name)
  if (module === undefined || factor === undefined) {
    const dims = shape.map((side, i) => (typeof side === 'number' ? side : Math.min(entry?.shape[i] ?? 0, mostLabels)))
    if (entry === undefined) throw new AdapterError(place, `${name} of the head (salora export --format peft-file writes it)`, 'none')
    return { dims, data: readFloats(entry, dims, name, place).slice() }
  }
  const dims = shape.map(toSize)
  const twin = entries.get(name.replace(/[AB](?=\.weight$)/, factor === 'A' ? 'B' : 'A'))
  if ((entry === undefined) !== (twin === undefined)) throw new AdapterError(place, `both factors of ${module}`, 'one of them')
  if (entry === undefined) return emptyTensor(dims)
  const [rows = 0, columns = 0] = dims
  const [rank = 0, maxRank] = factor === 'A' ? [entry.shape[0], rows] : [entry.shape[1], columns]
  if (rank > maxRank)
    throw new AdapterError(place, `a rank of at most ${maxRank}, which the base was exported with`, `${rank} at ${module}`)
  if (factor === 'B' && rank !== twin?.shape[0])
    throw new AdapterError(place, `factors of one rank at ${module}`, `${twin?.shape[0]} and ${rank}`)
  if (factor === 'A') {
    const data = new Float32Array(rows * columns)
    data.set(readFloats(entry, [rank, columns], name, place))
    return { dims, data }
  }
  const data = padColumns(readFloats(entry, [rows, rank], name, place), rank, rows, columns, scale(module, rank))
  checkFinite(data, name, place)
  return { dims, data }
}

/** Each number times `scale`. [rows, rank] → [rows, columns] */
const padColumns = (values: Float32Array, rank: number, rows: number, columns: number, scale: number): Float32Array => {
  const padded = new Float32Array(rows * columns)
  for (let row = 0; row < rows; row++) for (let i = 0; i < rank; i++) padded[row * columns + i] = (values[row * rank + i] ?? NaN) * scale
  return padded
}

/** Numbers of F32, F16 or BF16; those of F32 are the file's own bytes, where they are aligned. */
const readFloats = ({ dtype, shape, bytes }: Entry, dims: readonly number[], name: string, place: string): Float32Array => {
  if (shape.join() !== dims.join())
    throw new AdapterError(place, `${name} of shape [${dims.join()}], as the base has it`, `[${shape.slice(0, 8).join()}]`)
  const halves = (toFloat: (bits: number) => number): Float32Array => Float32Array.from(new Uint16Array(bytes.slice().buffer), toFloat)
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  const values =
    dtype === 'F32'
      ? new Float32Array(buffer, byteOffset, byteLength / 4)
      : dtype === 'F16'
        ? halves(fromHalf)
        : halves((bits) => fromBits(bits << 16))
  checkFinite(values, name, place)
  return values
}

const checkFinite = (values: Float32Array, name: string, place: string): void => {
  let zero = 0 // NaN after a number that is not finite
  for (let i = 0; i < values.length; i++) zero += 0 * (values[i] ?? NaN)
  if (zero !== 0) throw new AdapterError(place, `finite numbers in ${name}`, String(values.find((x) => !Number.isFinite(x))))
}

const bitsView = new DataView(new ArrayBuffer(4))
const fromBits = (bits: number): number => {
  bitsView.setInt32(0, bits)
  return bitsView.getFloat32(0)
}
const fromHalf = (bits: number): number => {
  const [sign, exponent, fraction] = [bits >> 15 === 0 ? 1 : -1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25))
}

const bytesPerElement: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 }

type Header = { readonly entries: ReadonlyMap<string, Entry>; readonly metadata: ReadonlyMap<string, string> }

/** @throws AdapterError unless every tensor is in the file, as large as its shape */
export const readHeader = (weights: Uint8Array, place: string): Header => {
  if (weights.length < 8) throw new AdapterError(place, 'a safetensors file', `${weights.length} bytes`)
  const size = Number(new DataView(weights.buffer, weights.byteOffset).getBigUint64(0, true))
  if (size > longestText) throw new AdapterError(place, `a safetensors header of at most ${longestText} bytes`, `a length of ${size}`)
  if (size > weights.length - 8) throw new AdapterError(place, `a header of ${size} bytes`, `${weights.length - 8} (the file is truncated)`)
  const json = parseObject(new TextDecoder().decode(weights.subarray(8, 8 + size)), `${place}: header`)
  const data = weights.subarray(8 + size)
  const entries = [...json].filter(([name]) => name !== '__metadata__')
  const metadata = Object.entries(Object(json.get('__metadata__'))).filter((pair): pair is [string, string] => typeof pair[1] === 'string')
  return { entries: new Map(entries.map(([name, value]) => [name, readEntry(name, value, data, place)])), metadata: new Map(metadata) }
}

const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const readEntry = (name: string, value: unknown, data: Uint8Array, place: string): Entry => {
  const { dtype, shape, data_offsets: offsets } = Object(value) as Readonly<Record<string, unknown>>
  const short = JSON.stringify(name.slice(0, 200))
  if (typeof dtype !== 'string' || !Object.hasOwn(bytesPerElement, dtype))
    throw new AdapterError(place, `F32, F16 or BF16 numbers in ${short}`, String(dtype).slice(0, 20))
  if (!Array.isArray(shape) || !shape.every(isNatural) || !Array.isArray(offsets) || !offsets.every(isNatural) || offsets.length !== 2)
    throw new AdapterError(place, `shape and data_offsets of ${short} as whole numbers`, 'others')
  const [begin = 0, end = 0] = offsets
  const length = shape.reduce((a, b) => a * b, 1) * (bytesPerElement[dtype] ?? NaN)
  if (end - begin !== length) throw new AdapterError(place, `${length} bytes for ${short}`, `data_offsets [${offsets.join()}]`)
  if (end > data.length) throw new AdapterError(place, `${end} bytes of data`, `${data.length} (the file is truncated)`)
  return { dtype, shape, bytes: data.subarray(begin, end) }
}

const parseObject = (text: string | undefined, place: string): ReadonlyMap<string, unknown> => {
  try {
    const json: unknown = JSON.parse(text ?? '')
    if (typeof json === 'object' && json !== null) return new Map(Object.entries(json))
  } catch {
    // what is no JSON is refused below
  }
  throw new AdapterError(place, 'a JSON object', text === undefined ? 'none' : JSON.stringify(text.slice(0, 40)))
}

/** Keys of PEFT's configuration under which ΔW is not scale · B A, unless they are unset. */
const otherFunctions = ['use_dora', 'use_qalora', 'use_bdlora', 'kasa_config', 'arrow_config', 'alora_invocation_tokens', 'lora_bias']
const plainStarts: readonly unknown[] = [undefined, null, true, false, 'gaussian', 'orthogonal', 'eva']

/** PEFT's scale of a module: alpha / rank, or with rsLoRA alpha / √rank. */
const readScales = (config: ReadonlyMap<string, unknown>, place: string): ((module: string, rank: number) => number) => {
  const refuse = (expected: string, got: unknown): never => {
    throw new AdapterError(`${place}: ${configFile}`, expected, (JSON.stringify(got) ?? 'none').slice(0, 60))
  }
  if (config.get('peft_type') !== 'LORA') refuse('peft_type "LORA"', config.get('peft_type'))
  for (const key of otherFunctions) if (config.get(key)) refuse(`plain LoRA, without ${key}`, config.get(key))
  const start = config.get('init_lora_weights') // PiSSA, OLoRA and LoftQ change the base too
  if (!plainStarts.includes(start)) refuse('an init_lora_weights that leaves the base as it is', start)
  const patterns = Object.entries(Object(config.get('alpha_pattern'))).map(([key, alpha]) => [key.replaceAll('\\.', '.'), alpha] as const)
  for (const [key] of patterns)
    if (!/^[\w.]+$/.test(key)) refuse('names in alpha_pattern (salora export --format peft-file writes them)', key)
  for (const alpha of [config.get('lora_alpha'), ...patterns.map(([, value]) => value)])
    if (!Number.isFinite(alpha)) refuse('numbers as alpha', alpha)
  return (module, rank) => {
    const [, alpha = config.get('lora_alpha')] = patterns.find(([key]) => module === key || module.endsWith(`.${key}`)) ?? []
    return Number(alpha) / (config.get('use_rslora') === true ? Math.sqrt(rank) : rank)
  }
}

/** The classes of the head; `LABEL_0` and so on, as in transformers, where the file names none. */
const readLabels = (
  { inputs }: Base,
  tensors: ReadonlyMap<string, FloatTensor>,
  text: string | undefined,
  place: string,
): Pick<Adapter, 'labels' | 'problemType'> => {
  const counts = inputs.flatMap(({ name, shape }) =>
    shape.flatMap((side, i) => (side === 'labels' ? [tensors.get(name)?.dims[i] ?? 0] : [])),
  )
  const [count] = counts
  if (count === undefined) return { labels: null, problemType: null }
  if (count === 0 || counts.some((other) => other !== count))
    throw new AdapterError(place, 'a head of one number of classes', counts.join(' and '))
  const names = text === undefined ? new Map<string, unknown>() : parseObject(text, `${place}: ${namesFile}`)
  const labels = names.get('labelNames') ?? Array.from({ length: count }, (_, i) => `LABEL_${i}`)
  if (!Array.isArray(labels) || !labels.every((label) => typeof label === 'string'))
    throw new AdapterError(`${place}: ${namesFile}`, 'a list of names as labelNames', 'another value')
  if (labels.length !== count) throw new AdapterError(place, `${count} names of classes, as the head has outputs`, `${labels.length}`)
  const problemType = names.get('problemType')
  return { labels, problemType: typeof problemType === 'string' ? problemType : null }
}
