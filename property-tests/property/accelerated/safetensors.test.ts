/** The safetensors reader and writer: round trips, bytes fixed by hand, and every way to break a file. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromFloat16, toFloat16 } from '../../../accelerated/storage/float16.js'
import { nodeFiles } from '../../../accelerated/storage/nodeFiles.js'
import { readChunks, readSafetensors, readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { layOut, writeSafetensors, type WritableTensor } from '../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('safetensors')

const fileOf = async (bytes: Uint8Array): Promise<string> => {
  const file = join(folder, 'model.safetensors')
  await writeFile(file, bytes)
  return file
}

/** A file from the text of its header and the bytes after it. */
const fromHeader = (header: string | Buffer, data: Uint8Array = new Uint8Array(0)): Buffer => {
  const text = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, data])
}

const messageFor = async (bytes: Uint8Array): Promise<string> =>
  readSafetensors(await fileOf(bytes)).then(
    () => 'no error',
    (thrown: Error) => thrown.message.replace(`${folder}/`, ''),
  )

describe(`safetensors round trips (seed ${SEED})`, () => {
  const tensor: fc.Arbitrary<WritableTensor> = fc
    .record({ shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }), dtype: fc.constantFrom('F32', 'F64', 'F16') })
    .chain(({ shape, dtype }): fc.Arbitrary<WritableTensor> => {
      const length = shape.reduce((a, b) => a * b, 1)
      const wide = fc.array(fc.double(), { minLength: length, maxLength: length }).map((values) => Float64Array.from(values))
      const narrow = fc.array(fc.float(), { minLength: length, maxLength: length }).map((values) => Float32Array.from(values))
      return dtype === 'F64'
        ? wide.map((data) => ({ shape, data }))
        : dtype === 'F32'
          ? narrow.map((data) => ({ shape, data }))
          : narrow.map((data) => ({ shape, data, dtype: 'F16' as const }))
    })
  const name = fc
    .oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom('7', '12', '__proto__', 'constructor', 'é"\\\n'))
    .filter((text) => text !== '__metadata__')
  const metadata = fc.dictionary(fc.string(), fc.string({ unit: 'binary' }), { maxKeys: 3, noNullPrototype: true })

  it('names, shapes, numbers and metadata are read as they were written', () =>
    fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.tuple(name, tensor), { selector: ([n]) => n, maxLength: 5 }), metadata, async (pairs, facts) => {
        const file = await fileOf(writeSafetensors(new Map(pairs), facts))
        const read = await readSafetensors(file)
        expect(new Map(Object.entries(read.metadata))).toEqual(new Map(Object.entries(facts)))
        expect(new Set(read.tensors.keys())).toEqual(new Set(pairs.map(([n]) => n)))
        for (const [n, { shape, data, dtype }] of pairs) {
          const entry = read.tensors.get(n)!
          expect(entry.shape).toEqual(shape)
          expect(entry.offset % 8 === 0 || entry.dtype !== 'F64').toBe(true)
          const expected = dtype === 'F16' ? fromFloat16(toFloat16(data)) : Float32Array.from(data)
          expect(await readTensor(entry)).toEqual(expected)
        }
      }),
      { seed: SEED, numRuns: 150 },
    ))

  it('a hand-made file is read as the format defines', async () => {
    const header =
      '{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}'
    const file = await fileOf(fromHeader(header, Buffer.from('0000803f000020c0803f40c0', 'hex')))
    const { metadata, tensors } = await readSafetensors(file)
    expect(metadata).toEqual({ format: 'pt' })
    expect(tensors.get('a')).toEqual({
      storage: nodeFiles,
      name: 'a',
      dtype: 'F32',
      shape: [1, 2],
      offset: 8 + header.length,
      length: 8,
      file,
    })
    expect(await readTensor(tensors.get('a')!)).toEqual(Float32Array.of(1, -2.5))
    expect(await readTensor(tensors.get('b')!)).toEqual(Float32Array.of(1, -3))
  })

  it('a file is laid out like the original library does: wider types first, then names, the header padded to 8 bytes', () => {
    const bytes = Buffer.from(
      writeSafetensors(
        new Map<string, WritableTensor>([
          ['h', { shape: [1], data: Float32Array.of(1), dtype: 'F16' }],
          ['b', { shape: [1], data: Float32Array.of(1) }],
          ['10', { shape: [], data: Float32Array.of(2) }],
          ['d', { shape: [1], data: Float64Array.of(1) }],
        ]),
        { format: 'pt' },
      ),
    )
    const json =
      '{"__metadata__":{"format":"pt"},"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"10":{"dtype":"F32","shape":[],"data_offsets":[8,12]},' +
      '"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},"h":{"dtype":"F16","shape":[1],"data_offsets":[16,18]}}'
    const length = Number(bytes.readBigUInt64LE(0))
    expect(length % 8).toBe(0)
    expect(bytes.subarray(8, 8 + length).toString()).toBe(json.padEnd(length))
    expect(bytes.subarray(8 + length).toString('hex')).toBe('000000000000f03f' + '00000040' + '0000803f' + '003c')
  })

  it('only the numbers of a view are written', () => {
    const more = Float32Array.of(9, 1, 2, 3, 9)
    const [part, copy] = [more.subarray(1, 4), Float32Array.of(1, 2, 3)].map((data) =>
      writeSafetensors(new Map([['x', { shape: [3], data }]])),
    )
    expect(part).toEqual(copy)
  })

  it('the chunks of a tensor make the whole tensor', async () => {
    const data = Float32Array.from({ length: (1 << 20) + 3 }, (_, i) => i)
    const { tensors } = await readSafetensors(await fileOf(writeSafetensors(new Map([['x', { shape: [data.length], data }]]))))
    const firsts: number[] = []
    for await (const { first, chunk } of readChunks(tensors.get('x')!)) {
      firsts.push(first)
      expect(chunk[0]).toBe(first)
      expect(chunk.at(-1)).toBe(first + chunk.length - 1)
    }
    expect(firsts).toEqual([0, 1 << 20])
  })

  it('refuses to write data that does not fill its shape', () => {
    expect(() => writeSafetensors(new Map([['x', { shape: [2], data: Float32Array.of(1) }]]))).toThrow(
      'x: expected 2 numbers for [2], got 1',
    )
    expect(() => writeSafetensors(new Map([['__metadata__', { shape: [], data: Float32Array.of(1) }]]))).toThrow('__metadata__')
    expect(layOut([]).order).toEqual([])
  })
})

describe(`broken safetensors files (seed ${SEED})`, () => {
  const one = (entry: string): string => `{"x":${entry}}`
  const f32 = (begin: number, end: number, shape = '[1]'): string => `{"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]}`

  it.each<readonly [string, Uint8Array, string]>([
    ['shorter than its length field', Buffer.alloc(5), 'model.safetensors: expected at least 8 bytes (the length of the header), got 5'],
    [
      'an absurd header length',
      Buffer.from('<!DOCTYPE html>'),
      `model.safetensors: expected a header of at most 16000000 bytes, got a length of ${0x505954434f44213cn} (not a safetensors file?)`,
    ],
    [
      'a truncated header',
      fromHeader('{}').subarray(0, 9),
      'model.safetensors: expected a header of 2 bytes, got 1 bytes (the file is truncated)',
    ],
    ['a header of another kind', fromHeader('[1]'), 'model.safetensors: expected a header that starts with {, got "[1]"'],
    ['a header that is not JSON', fromHeader('{"x"}'), /^model\.safetensors: expected JSON, got text that is not \(.*\)$/.source],
    [
      'a header that is not UTF-8',
      fromHeader(Buffer.from([0x7b, 0xff, 0x7d])),
      'model.safetensors: expected a header in UTF-8, got bytes that are not',
    ],
    [
      'a name twice',
      fromHeader(`{"x":${f32(0, 4)},"\\u0078":${f32(0, 4)}}`, Buffer.alloc(4)),
      'model.safetensors: expected each key once, got "x" twice',
    ],
    [
      'a field twice',
      fromHeader(one('{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}'), Buffer.alloc(4)),
      'model.safetensors: expected each key once, got "dtype" twice',
    ],
    ['metadata that is nothing', fromHeader('{"__metadata__":null}'), 'model.safetensors: expected __metadata__ (an object), got null'],
    [
      'metadata that is no text',
      fromHeader('{"__metadata__":{"a":1}}'),
      'model.safetensors: expected __metadata__ whose a is a text, got 1',
    ],
    [
      'an unknown type',
      fromHeader(one('{"dtype":"F4","shape":[1],"data_offsets":[0,4]}'), Buffer.alloc(4)),
      'model.safetensors: expected tensor "x" whose dtype is one of F64, F32, F16, BF16, F8_E4M3, F8_E5M2, I64, I32, I16, I8, U64, U32, U16, U8, BOOL, got "F4"',
    ],
    [
      'a negative side',
      fromHeader(one(f32(0, 4, '[-1]')), Buffer.alloc(4)),
      'model.safetensors: expected tensor "x" whose shape.0 is a whole number of at least 0, got -1',
    ],
    [
      'a missing field',
      fromHeader(one('{"dtype":"F32","shape":[1]}')),
      'model.safetensors: expected tensor "x" whose data_offsets is a list, got nothing',
    ],
    [
      'an unknown field',
      fromHeader(one('{"dtype":"F32","shape":[0],"data_offsets":[0,0],"y":1}')),
      'model.safetensors: expected tensor "x" (no key y), got 1',
    ],
    [
      'a range of another length',
      fromHeader(one(f32(0, 8)), Buffer.alloc(8)),
      'model.safetensors: expected 4 bytes for tensor "x" (F32 [1]), got data_offsets [0,8]',
    ],
    [
      'a range that ends before it begins',
      fromHeader(one(f32(4, 0)), Buffer.alloc(4)),
      'model.safetensors: expected 4 bytes for tensor "x" (F32 [1]), got data_offsets [4,0]',
    ],
    [
      'an overlap',
      fromHeader(`{"x":${f32(0, 8, '[2]')},"y":${f32(4, 8)}}`, Buffer.alloc(8)),
      'model.safetensors: expected tensor "y" at byte 8 of the data, got byte 4 (it overlaps the previous one)',
    ],
    [
      'a gap',
      fromHeader(`{"x":${f32(0, 4)},"y":${f32(8, 12)}}`, Buffer.alloc(12)),
      'model.safetensors: expected tensor "y" at byte 4 of the data, got byte 8 (a gap before it)',
    ],
    [
      'truncated data',
      fromHeader(one(f32(0, 4)), Buffer.alloc(3)),
      'model.safetensors: expected 4 bytes of data after the header, got 3 (the file is truncated)',
    ],
    [
      'bytes after the data',
      fromHeader(one(f32(0, 4)), Buffer.alloc(5)),
      'model.safetensors: expected 4 bytes of data after the header, got 5 (bytes of no tensor)',
    ],
    [
      'a shape beyond all numbers',
      fromHeader(
        one(
          f32(
            0,
            4,
            `[${Array(30)
              .fill(2 ** 52)
              .join()},0]`,
          ),
        ),
        Buffer.alloc(4),
      ),
      'model.safetensors: expected tensor "x" of fewer than 2^53 bytes, got shape [4503599627370496, 4503599627370496, 4503599627370496, 4503599627370496, 4503599627370496, 4503599627370496, 4503599627370496, 4503599627370496, …]',
    ],
  ])('names %s in one line', async (_, bytes, expected) => {
    const message = await messageFor(bytes)
    if (expected.startsWith('^')) expect(message).toMatch(new RegExp(expected))
    else expect(message).toBe(expected)
    expect(message).not.toContain('\n')
  })

  it('escapes control characters in a name, so that the message stays one line', async () => {
    expect(await messageFor(fromHeader('{"a\\n\\u001b[31m":{}}'))).toMatch(/"a\\u000a\\u001b\[31m"/)
  })

  it('names a file that is absent', async () => {
    await expect(readSafetensors(join(folder, 'none.safetensors'))).rejects.toThrow(
      /none\.safetensors: expected a readable file, got ENOENT/,
    )
  })

  it('names a tensor of integers when its numbers are read', async () => {
    const { tensors } = await readSafetensors(
      await fileOf(fromHeader(one('{"dtype":"I64","shape":[1],"data_offsets":[0,8]}'), Buffer.alloc(8))),
    )
    await expect(readTensor(tensors.get('x')!)).rejects.toThrow('expected tensor x of dtype F64, F32, F16, BF16, got I64')
  })

  it('names a file that was truncated after it was opened', async () => {
    const valid = fromHeader(one(f32(0, 4)), Buffer.alloc(4))
    const { tensors } = await readSafetensors(await fileOf(valid))
    await fileOf(valid.subarray(0, valid.length - 2))
    await expect(readTensor(tensors.get('x')!)).rejects.toThrow('(the file is truncated)')
  })
})
