/** --tensorboard: an independent reader finds every number of metrics.jsonl once in the event files, also after a resume. */
import { copyFile, readdir, readFile, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { TypedFlags } from './typedFlags.js'
import { runJob } from './jobRun.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('tensorboard')
const at = (...names: readonly string[]): string => join(cwd, ...names)
const flags = (output: string, method = 'salora'): TypedFlags => ({
  method,
  ...(method === 'salora' ? { gateStart: '0.2', gateEnd: '0.5' } : {}),
  model: at('tiny'),
  task: at('toy.tsv'),
  output: at(output),
  ...{ maxLength: '16', batchSize: '8', device: 'cpu', threads: '1', maxSteps: '12', evalSteps: '4', saveSteps: '3' },
  learningRate: '0.01',
})

beforeAll(async () => {
  await runJob({ ...flags('whole'), tensorboard: true })
})

/** As tensorflow/core/util/event.proto and summary.proto have them. */
const { root } = protobuf.parse(`syntax = "proto3";
  message Event {
    double wall_time = 1;
    int64 step = 2;
    oneof what { string file_version = 3; bytes graph_def = 4; Summary summary = 5; LogMessage log_message = 6; SessionLog session_log = 7; }
  }
  message LogMessage { string message = 2; }
  message SessionLog { enum SessionStatus { STATUS_UNSPECIFIED = 0; START = 1; STOP = 2; CHECKPOINT = 3; } SessionStatus status = 1; }
  message Summary { message Value { string tag = 1; oneof value { float simple_value = 2; bytes image = 4; } } repeated Value value = 1; }`)
const event = root.lookupType('Event')

type Event = {
  readonly wallTime: number
  readonly step: number
  readonly fileVersion?: string
  readonly sessionLog?: { readonly status: string }
  readonly summary?: { readonly value?: readonly { readonly tag: string; readonly simpleValue: number }[] }
}

/** Bit by bit, as a division of polynomials. */
const remainder = (bytes: Uint8Array): bigint => {
  let crc = 0xffffffffn
  for (const byte of bytes) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = crc % 2n === 1n ? (crc / 2n) ^ 0x82f63b78n : crc / 2n
  }
  return crc ^ 0xffffffffn
}
const masked = (bytes: Uint8Array): number => {
  const crc = remainder(bytes)
  return Number(((crc / 32768n + (crc % 32768n) * 131072n + 0xa282ead8n) % 4294967296n) as bigint)
}

/** Every record of the only event file; whole ones, by their checksums. */
const eventsOf = async (output: string): Promise<readonly Event[]> => {
  const names = (await readdir(at(output))).filter((name) => name.includes('tfevents'))
  expect(names).toEqual([expect.stringMatching(/^events\.out\.tfevents\.\d{10}\.salora$/)])
  const file = await readFile(at(output, names[0] ?? ''))
  const events: Event[] = []
  for (let i = 0; i < file.length; ) {
    const length = Number(file.readBigUInt64LE(i))
    const data = file.subarray(i + 12, i + 12 + length)
    expect([file.readUInt32LE(i + 8), file.readUInt32LE(i + 12 + length)]).toEqual([masked(file.subarray(i, i + 8)), masked(data)])
    events.push(event.toObject(event.decode(data), { longs: Number, enums: String, defaults: false }) as Event)
    i += 16 + length
  }
  return events.map((one) => ({ ...one, step: one.step ?? 0 }))
}

type Point = readonly [step: number, tag: string, value: number]
const pointsOf = (events: readonly Event[]): readonly Point[] =>
  events.flatMap(({ step, summary }) => (summary?.value ?? []).map(({ tag, simpleValue }) => [step, tag, simpleValue] as const))

/** What metrics.jsonl says, in the float32 of an event file. */
const told32 = async (output: string): Promise<readonly Point[]> =>
  (await readFile(at(output, 'metrics.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
    .flatMap(({ kind, step, scores, ...columns }) =>
      Object.entries<unknown>(kind === 'step' ? columns : (scores ?? {})).flatMap(([name, value]) =>
        typeof value === 'number' ? [[step, `${kind === 'step' ? 'train' : kind}/${name}`, Math.fround(value)] as const] : [],
      ),
    )

/** Without what the clock says. */
const timeless = (points: readonly Point[]): readonly Point[] => points.filter(([, tag]) => tag !== 'train/tokensPerSecond')

describe('salora train --tensorboard', () => {
  it('writes each number of each step and each score of each evaluation in order', async () => {
    const events = await eventsOf('whole')
    expect(events.slice(0, 2)).toMatchObject([{ fileVersion: 'brain.Event:2' }, { step: 0, sessionLog: { status: 'START' } }])
    const points = pointsOf(events)
    expect(points).toEqual(await told32('whole'))
    const stepsOf = (tagName: string): readonly number[] => points.flatMap(([step, tag]) => (tag === tagName ? [step] : []))
    for (const name of ['taskLoss', 'loss', 'learningRate', 'gradientNorm', 'orthogonality'])
      expect([name, stepsOf(`train/${name}`)]).toEqual([name, Array.from({ length: 12 }, (_, i) => i + 1)])
    expect(stepsOf('train/density')).toEqual([4, 5, 6]) // while gates are sampled
    for (const name of ['accuracy', 'loss']) expect([name, stepsOf(`evaluation/${name}`)]).toEqual([name, [4, 8, 12]])
    const times = events.map(({ wallTime }) => wallTime)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(Math.abs(Date.now() / 1000 - (times.at(-1) ?? 0))).toBeLessThan(600)
  })

  it('has each point once when steps are repeated after a kill: after a checkpoint, within a record, between two files', async () => {
    await runJob({ ...flags('killed'), tensorboard: true }, 8)
    const before = await eventsOf('killed')
    expect(pointsOf(before).at(-1)?.[0]).toBe(8)
    await rm(at('killed', 'checkpoints', 'step-000000008.safetensors')) // as if killed before it
    const [name = ''] = (await readdir(at('killed'))).filter((entry) => entry.includes('tfevents'))
    await copyFile(at('killed', name), at('killed', 'events.out.tfevents.0000000009.salora'))
    await truncate(at('killed', name), (await readFile(at('killed', name))).length - 5)
    await runJob({ output: at('killed'), resume: true }) // the run has an event file, so it continues it
    const after = await eventsOf('killed')
    expect(timeless(pointsOf(after))).toEqual(timeless(pointsOf(await eventsOf('whole'))))
    expect(pointsOf(after)).toEqual(await told32('killed'))
    // steps 1 to 6 and the evaluation after step 4 are of the time when they were made
    expect(after.slice(2, 9)).toEqual(before.slice(2, 9))
    expect((await readdir(at('killed'))).some((entry) => entry.includes(name))).toBe(false) // one that watches takes a new name for new points
  })

  it('includes earlier steps when it is first given with --resume', async () => {
    await runJob(flags('late'), 5)
    expect((await readdir(at('late'))).filter((name) => name.includes('tfevents'))).toEqual([])
    await runJob({ output: at('late'), resume: true, tensorboard: true })
    expect(timeless(pointsOf(await eventsOf('late')))).toEqual(timeless(pointsOf(await eventsOf('whole'))))
  })

  it('does not use the event file of a run without config.json', async () => {
    await runJob({ ...flags('other', 'lora'), maxSteps: '1', tensorboard: true })
    for (const name of await readdir(at('other'))) if (!name.includes('tfevents')) await rm(at('other', name), { recursive: true })
    await expect(runJob(flags('other'))).rejects.toThrow(
      /expected a new folder, or a run with its config\.json, got events\.out\.tfevents\.\d+/,
    )
    expect((await eventsOf('other')).length).toBeGreaterThan(2)
  })
})
