/** Headers, tensors and shard indices out of bounds are refused before memory is allocated for them. */
import { describe, expect, it } from 'vitest'
import { readSafetensors, readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { elementCount } from '../../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { parseShardIndex } from '../../../accelerated/checkpoints/safetensors/weightFiles.js'
import { memoryStorage } from '../../../accelerated/storage/memory.js'
import { at, put, refusal, sized, usePlace } from './folder.js'

usePlace()

const length = (bytes: number | bigint): Buffer => {
  const field = Buffer.alloc(8)
  field.writeBigUInt64LE(BigInt(bytes))
  return field
}

describe('a safetensors header', () => {
  it.each([[100_000_000n], [16_000_001n], [2n ** 64n - 1n], [2n ** 63n]])(
    'that claims %d bytes is refused by its length',
    async (declared) => {
      await put('x', Buffer.concat([length(declared), Buffer.from('{}')]))
      expect(await refusal(() => readSafetensors(at('x')))).toBe(
        `F/x: expected a header of at most 16000000 bytes, got a length of ${declared} (not a safetensors file?)`,
      )
    },
  )
  it('a safetensors header of 100 MB is refused unread', async () => {
    await sized('x', Buffer.concat([length(100_000_000), Buffer.from('{')]), 100_000_008)
    expect(await refusal(() => readSafetensors(at('x')))).toMatch(/^F\/x: expected a header of at most 16000000 bytes/)
  })
  it('a safetensors header that is longer than its file is refused', async () => {
    await put('x', Buffer.concat([length(15_000_000), Buffer.from('{}')]))
    expect(await refusal(() => readSafetensors(at('x')))).toBe(
      'F/x: expected a header of 15000000 bytes, got 2 bytes (the file is truncated)',
    )
  })
  it('a safetensors header with too many lists is refused before they are built', async () => {
    const text = Buffer.from(`{"a":[${'[],'.repeat(2_000_001)}[]]}`)
    await put('x', Buffer.concat([length(text.length), text]))
    expect(await refusal(() => readSafetensors(at('x')))).toBe('F/x: expected at most 4000000 values in the JSON, got more')
  })
})

it('a tensor of more than 2^30 numbers is refused before memory is allocated for it', async () => {
  const shape = [2 ** 15 + 1, 2 ** 15]
  const entry = { name: 'a', dtype: 'F32', shape, offset: 8, length: 4 * elementCount(shape), file: 'x', storage: memoryStorage() } as const
  expect(await refusal(() => readTensor(entry))).toBe('x: expected tensor a of at most 1073741824 numbers, got 1073774592 [32769, 32768]')
})

describe('an index of shards', () => {
  it.each([
    '../x.safetensors',
    '/x.safetensors',
    'a/../x.safetensors',
    'x\\y.safetensors',
    '..safetensors',
    'a..b.safetensors',
    `${'x'.repeat(202)}.safetensors`,
    'x.bin',
    '',
    'x\u0000.safetensors',
    '~/x.safetensors',
  ])('may not name %j', async (name) => {
    expect(await refusal(() => parseShardIndex(JSON.stringify({ weight_map: { a: name } }), 'index'))).toMatch(
      /^index: expected shards named like/,
    )
  })
  it('may not name more than a thousand shards', async () => {
    const map = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`t${i}`, `s${i}.safetensors`]))
    expect(await refusal(() => parseShardIndex(JSON.stringify({ weight_map: map }), 'index'))).toBe(
      'index: expected at most 1000 shards, got 1001',
    )
  })
})
