/** The bytes of TensorBoard's event files: TFRecords (length, its checksum, data, its checksum), each with an Event in protocol buffers. */
import protobuf from 'protobufjs/minimal.js'
import type { Scalars } from './metricsLine.js'

/** The keys of the fields of Event and of its messages: number · 8 + wire type. */
const key = { wallTime: 9, step: 16, fileVersion: 26, summary: 42, sessionLog: 58, status: 8, value: 10, tag: 10, simpleValue: 21 }

/** SessionLog.SessionStatus */
const start = 1

/**
 * The first records of a file. Its session starts at step 0, so a TensorBoard that has read an earlier file of the run replaces its points.
 */
export const openingRecords = (wallTime: number): Uint8Array =>
  Buffer.concat([
    framed(wallTime, 0, (event) => event.uint32(key.fileVersion).string('brain.Event:2')),
    framed(wallTime, 0, (event) => event.uint32(key.sessionLog).fork().uint32(key.status).int32(start).ldelim()),
  ])

/** The number of opening records. */
export const openings = 2

/** The record of one step. @param wallTime seconds since 1970 */
export const scalarRecord = (wallTime: number, step: number, scalars: Scalars): Uint8Array =>
  framed(wallTime, step, (event) => {
    const summary = event.uint32(key.summary).fork()
    for (const [tag, value] of scalars)
      summary.uint32(key.value).fork().uint32(key.tag).string(tag).uint32(key.simpleValue).float(value).ldelim()
    return summary.ldelim()
  })

const framed = (wallTime: number, step: number, write: (event: protobuf.Writer) => protobuf.Writer): Uint8Array => {
  const data = write(protobuf.Writer.create().uint32(key.wallTime).double(wallTime).uint32(key.step).int64(step)).finish()
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
    if (data.length < 9 || data[0] !== key.wallTime) break // complete, but not an Event
    times.push(data.readDoubleLE(1))
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
