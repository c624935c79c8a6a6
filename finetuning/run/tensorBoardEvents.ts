/** The bytes of TensorBoard's event files: TFRecords (length, its checksum, data, its checksum), each with an Event in protocol buffers. */
import protobuf from 'protobufjs'
import type { Scalars } from './metricsLine.js'

const { Event } = ((root) => ({ Event: root.lookupType('Event') }))(
  protobuf.Root.fromJSON({
    nested: {
      Event: {
        fields: {
          wallTime: { id: 1, type: 'double' },
          step: { id: 2, type: 'int64' },
          fileVersion: { id: 3, type: 'string' },
          summary: { id: 5, type: 'Summary' },
          sessionLog: { id: 7, type: 'SessionLog' },
        },
      },
      Summary: { fields: { value: { id: 1, type: 'Value', rule: 'repeated' } } },
      // a oneof in the original, so that 0 is written too
      Value: {
        oneofs: { value: { oneof: ['simpleValue'] } },
        fields: { tag: { id: 1, type: 'string' }, simpleValue: { id: 2, type: 'float' } },
      },
      SessionLog: { fields: { status: { id: 1, type: 'int32' } } },
    },
  }),
)

/** SessionLog.SessionStatus */
const start = 1

/**
 * The first records of a file. Its session starts at step 0, so a TensorBoard that has read an earlier file of the run replaces its points.
 */
export const openingRecords = (wallTime: number): Uint8Array =>
  Buffer.concat([
    framed({ wallTime, fileVersion: 'brain.Event:2' }), //
    framed({ wallTime, step: 0, sessionLog: { status: start } }),
  ])

/** The number of opening records. */
export const openings = 2

/** The record of one step. @param wallTime seconds since 1970 */
export const scalarRecord = (wallTime: number, step: number, scalars: Scalars): Uint8Array =>
  framed({ wallTime, step, summary: { value: scalars.map(([tag, simpleValue]) => ({ tag, simpleValue })) } })

const framed = (event: Readonly<Record<string, unknown>>): Uint8Array => {
  const data = Event.encode(event).finish()
  const record = Buffer.alloc(8 + 4 + data.length + 4)
  record.writeBigUInt64LE(BigInt(data.length), 0)
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8)
  record.set(data, 12)
  record.writeUInt32LE(maskedCrc32c(data), 12 + data.length)
  return record
}

/** The wall time of each record, up to the first truncated or damaged one. */
export const wallTimes = (file: Buffer): readonly number[] => {
  const times: number[] = []
  for (let at = 0; at + 16 <= file.length; ) {
    const length = Number(file.readBigUInt64LE(at))
    if (at + 16 + length > file.length) break
    const data = file.subarray(at + 12, at + 12 + length)
    if (maskedCrc32c(data) !== file.readUInt32LE(at + 12 + length)) break
    try {
      times.push((Event.decode(data) as protobuf.Message & { readonly wallTime?: number }).wallTime ?? 0)
    } catch {
      break // complete, but not an Event
    }
    at += 16 + length
  }
  return times
}

/** CRC-32C (Castagnoli, RFC 3720). */
const reversedPolynomial = 0x82f63b78

const remainders = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? reversedPolynomial : 0)
  return remainder
})

export const crc32c = (bytes: Uint8Array): number => {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ (remainders[(crc ^ byte) & 0xff] as number)
  return ~crc >>> 0
}

/** The masked form in TFRecord files: a CRC of bytes that contain their own CRC is weak. */
const maskedCrc32c = (bytes: Uint8Array): number => {
  const crc = crc32c(bytes)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
