/** TensorBoard's event files in bytes: TFRecords (length, its checksum, data, its checksum), each one an Event in protocol buffers. */
import protobuf from 'protobufjs'
import { maskedCrc32c } from './crc32c.js'

export type Scalars = ReadonlyArray<readonly [tag: string, value: number]>

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
      // one of several in the original: so a 0 is written too
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
 * What a file begins with. Its session starts at step 0: a TensorBoard that has read an earlier file of the run drops those points for the ones
 * that follow.
 */
export const openingRecords = (wallTime: number): Uint8Array =>
  Buffer.concat([
    framed({ wallTime, fileVersion: 'brain.Event:2' }), //
    framed({ wallTime, step: 0, sessionLog: { status: start } }),
  ])

/** How many records they are. */
export const openings = 2

/** One moment of a run. @param wallTime seconds since 1970 */
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

/** When each record was written, up to the first that is torn or damaged. */
export const wallTimes = (file: Buffer): ReadonlyArray<number> => {
  const times: number[] = []
  for (let at = 0; at + 16 <= file.length; ) {
    const length = Number(file.readBigUInt64LE(at))
    if (at + 16 + length > file.length) break
    const data = file.subarray(at + 12, at + 12 + length)
    if (maskedCrc32c(data) !== file.readUInt32LE(at + 12 + length)) break
    try {
      times.push((Event.decode(data) as protobuf.Message & { readonly wallTime?: number }).wallTime ?? 0)
    } catch {
      break // whole, but no Event
    }
    at += 16 + length
  }
  return times
}
