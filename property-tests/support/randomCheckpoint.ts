/**
 * A checkpoint with random weights in Hugging Face layout: fp16 shards with their index, as large as its config.json says. It is
 * written while it is drawn, with 4 MiB of numbers in memory. So any machine can make a model of any size.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { join } from 'node:path'
import { probit } from 'simple-statistics'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { toFloat16 } from '../../accelerated/storage/float16.js'
import { elementCount } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { layOut } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'

/** Of LLaMA's initial weights: a matrix of 4096 columns takes rows of norms of 1 to norms of 1.3, so that activations stay finite. */
const deviation = 0.02
const bytesOfNumber = 2
const chunkNumbers = 1 << 21

export type CheckpointOptions = {
  readonly seed: number
  /** of the tensors of a file; 5 GB is what the library of the format's authors writes */
  readonly shardBytes: number
}

type Named = { readonly name: string; readonly shape: readonly number[] }

/** Writes config.json, the shards and their index into `folder`. The same config and seed give the same bytes. @throws InputError */
export const writeRandomCheckpoint = async (folder: string, config: object, { seed, shardBytes }: CheckpointOptions): Promise<void> => {
  const [configFile, text] = [join(folder, 'config.json'), JSON.stringify(config, null, 2)]
  const { spec, causalHead, naming, transposed } = parseConfigFile(text, configFile).model
  const tensors = [...spec.tensors, ...(causalHead?.().frozen ?? [])].map(([name, shape]) => ({
    name: naming.stored(name),
    shape: transposed?.(name) === true ? shape.toReversed() : shape,
  }))
  const shards = shardsOf(tensors, shardBytes)
  const fileOf = (shard: number): string => `model-${numbered(shard + 1)}-of-${numbered(shards.length)}.safetensors`
  await makeFolder(folder)
  await writeFileAtomically(configFile, text)
  for (const [i, shard] of shards.entries()) await writeFileAtomically(join(folder, fileOf(i)), shardPieces(shard, seed))
  const index = {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + bytesIn(tensor), 0) },
    weight_map: Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, fileOf(i)]))),
  }
  await writeFileAtomically(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
}

const numbered = (shard: number): string => String(shard).padStart(5, '0')
const bytesIn = ({ shape }: Named): number => bytesOfNumber * elementCount(shape)

/** In their order, as many to a file as its bytes hold, and at least one. */
const shardsOf = (tensors: readonly Named[], shardBytes: number): readonly (readonly Named[])[] => {
  const shards: Named[][] = []
  let left = 0
  for (const tensor of tensors) {
    if (shards.length === 0 || bytesIn(tensor) > left) {
      shards.push([])
      left = shardBytes
    }
    shards.at(-1)?.push(tensor)
    left -= bytesIn(tensor)
  }
  return shards
}

async function* shardPieces(shard: readonly Named[], seed: number): AsyncGenerator<Uint8Array> {
  const { header, order } = layOut(shard.map((tensor) => ({ ...tensor, dtype: 'F16' })))
  yield header
  for (const name of order) {
    const count = elementCount(shard.find((tensor) => tensor.name === name)?.shape ?? [])
    yield* /norm\.weight$/.test(name) ? ones(count) : normals(count, seed, name)
  }
}

function* ones(count: number): Generator<Uint8Array> {
  yield new Uint8Array(toFloat16(new Float32Array(count).fill(1)).buffer)
}

/** Random 16 bits are a place in the table of the distribution's quantiles. AES in counter mode, keyed by seed and name, is a fast source of them. */
function* normals(count: number, seed: number, name: string): Generator<Uint8Array> {
  quantiles ??= toFloat16(Float32Array.from({ length: 0x10000 }, (_, i) => deviation * probit((i + 0.5) / 0x10000)))
  const key = createHash('sha256').update(`${seed} ${name}`).digest().subarray(0, 16)
  const bits = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  for (let at = 0; at < count; at += chunkNumbers) {
    const drawn = bits.update(new Uint8Array(bytesOfNumber * Math.min(chunkNumbers, count - at)))
    const places = new Uint16Array(drawn.buffer.slice(drawn.byteOffset, drawn.byteOffset + drawn.byteLength))
    for (let i = 0; i < places.length; i++) places[i] = quantiles[places[i] ?? 0] ?? NaN
    yield new Uint8Array(places.buffer)
  }
}

let quantiles: Uint16Array | undefined
