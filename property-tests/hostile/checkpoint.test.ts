/** A checkpoint is believed only as far as the run's own start allows: its checksum is no proof of who wrote it. */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, open, readdir, readFile, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../accelerated/files/configFile.js'
import { FileError } from '../../accelerated/files/fileError.js'
import { encoderConfigOf } from '../../accelerated/models/encoderConfig.js'
import type { Vector } from '../../accelerated/training/parameterVector.js'
import { newestCheckpoint, saveCheckpoint, type Checkpoint } from '../../accelerated/training/checkpointFile.js'
import type { RunOutline } from '../../accelerated/training/runOutline.js'
import { layoutOf, type RunState, type Vectors } from '../../accelerated/training/runState.js'
import { roberta } from './validFiles.js'

const config = encoderConfigOf(parseConfigFile(JSON.stringify(roberta), 'config.json'))
const [query, value] = ['query', 'value'].map((part) => ({ name: `encoder.layer.0.attention.self.${part}`, d: 4, k: 4, r: 2 })) as [
  RunState['modules'][0],
  RunState['modules'][0],
]
const run: RunOutline = { config, dtype: 'float32', steps: 8, modules: [query, value] }

type Described = Omit<RunState, keyof Vectors>
const withVectors = (state: Described, size = layoutOf(config, state).size): RunState => {
  const vector = (first: number): Vector => Float32Array.from({ length: size }, (_, i) => first + i)
  return { ...state, parameters: vector(-3), firstMoment: vector(-2), secondMoment: vector(0) }
}
const gated: Described = { step: 4, gatedStep: 2, gating: 'sampled', modules: [query, value], initialDensity: 0.5, retained: null }
const pruned: Described = {
  step: 6,
  gatedStep: 3,
  gating: 'open',
  modules: [{ ...value, r: 1 }],
  initialDensity: 0.5,
  retained: { expectedDensity: 0.5, retainedDensity: 0.25, lambda: 1, ranks: { [query.name]: 0, [value.name]: 1 } },
}
const checkpointOf = (state: RunState): Checkpoint => ({ state, best: null, lastEvaluation: null, orthogonality: {}, metricsLines: 4 })

let root = ''
let made = 0
let folder = ''
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'salora-checkpoint-')))
})
beforeEach(async () => {
  folder = join(root, `c${made++}`)
  await mkdir(folder)
})
afterAll(() => rm(root, { recursive: true }))

/** What is told of damaged ones, and the step of the one that is used. */
const read = async (outline = run): Promise<{ readonly told: ReadonlyArray<string>; readonly step: number | undefined }> => {
  const told: string[] = []
  const found = await newestCheckpoint(folder, outline, (message) => told.push(message.replaceAll(folder, 'F')))
  return { told, step: found?.state.step }
}
/** The one line, after which everything is as it was. */
const refusal = async (): Promise<string> => {
  const before = await readdir(folder)
  const line = await read().then(
    () => 'no error',
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(FileError)
      return (thrown as Error).message.replaceAll(folder, 'F')
    },
  )
  expect(await readdir(folder)).toEqual(before)
  return line
}
const file = (step: number): string => join(folder, `step-00000000${step}.safetensors`)
const sign = async (step: number): Promise<void> =>
  writeFile(
    `${file(step)}.sha256`,
    `${createHash('sha256')
      .update(await readFile(file(step)))
      .digest('hex')}\n`,
  )

describe('a checkpoint of the run', () => {
  it.each([
    ['gated', gated],
    ['pruned', pruned],
  ])('that is %s comes back as it was saved', async (_, state) => {
    const saved = checkpointOf(withVectors(state))
    await saveCheckpoint(folder, { ...saved, best: { state: withVectors(pruned), step: 6, selection: 0.5, scores: { accuracy: 0.5 } } })
    expect(await newestCheckpoint(folder, run, () => undefined)).toMatchObject({ ...saved, best: { state: withVectors(pruned) } })
  })
  it('in float64 comes back with every bit', async () => {
    const state = withVectors(gated)
    const third = (x: number): number => x + 1 / 3
    const doubles = {
      ...state,
      parameters: Float64Array.from(state.parameters, third),
      firstMoment: Float64Array.from(state.firstMoment, third),
      secondMoment: Float64Array.from(state.secondMoment, third),
    }
    await saveCheckpoint(folder, checkpointOf(doubles))
    expect((await newestCheckpoint(folder, { ...run, dtype: 'float64' }, () => undefined))?.state).toEqual(doubles)
    expect(await refusal()).toMatch(/^F\/step-000000004\.safetensors: expected tensor state\.parameters of F32 \[\d+\], found F64 \[\d+\]$/)
  })
})

const one = (vector: Vector, at: number, x: number): Vector => vector.map((old, i) => (i === at ? x : old))

describe('a checkpoint that is signed and no state of the run', () => {
  it.each<readonly [string, RunState, string]>([
    [
      'has more steps than the run',
      withVectors({ ...gated, step: 9 }),
      'expected a state of this run, by its model and data as they are now: at most 8 steps, gated ones among them, found 9, 2 of them gated',
    ],
    [
      'has more gated steps than steps',
      withVectors({ ...gated, gatedStep: 5 }),
      'expected a state of this run, by its model and data as they are now: at most 8 steps, gated ones among them, found 4, 5 of them gated',
    ],
    [
      'adapts a matrix of another name',
      withVectors({ ...gated, modules: [query, { ...value, name: 'x' }] }),
      'with the ranks of its start or, once pruned, fewer, found x 4 × 4 of rank 2',
    ],
    [
      'adapts one of another size',
      withVectors({ ...gated, modules: [query, { ...value, d: 6 }] }),
      'found encoder.layer.0.attention.self.value 6 × 4 of rank 2',
    ],
    [
      'has a rank above that of the start',
      withVectors({ ...pruned, modules: [{ ...value, r: 3 }] }),
      'found encoder.layer.0.attention.self.value 4 × 4 of rank 3',
    ],
    [
      'has a lower rank before it is pruned',
      withVectors({ ...gated, modules: [query, { ...value, r: 1 }] }),
      'found encoder.layer.0.attention.self.value 4 × 4 of rank 1',
    ],
    [
      'lacks a matrix before it is pruned',
      withVectors({ ...gated, modules: [query] }),
      '2 matrices, each once and in their order, found 1',
    ],
    [
      'has a matrix twice',
      withVectors({
        ...pruned,
        modules: [
          { ...value, r: 1 },
          { ...value, r: 1 },
        ],
      }),
      'those matrices, each once and in their order, found 2',
    ],
    ['has them in another order', withVectors({ ...gated, modules: [value, query] }), '2 matrices, each once and in their order, found 2'],
    [
      'samples gates after they were closed',
      withVectors({ ...pruned, gating: 'sampled' }),
      'gates before T_end alone, with the density they began with, found sampled',
    ],
    [
      'samples gates that began nowhere',
      withVectors({ ...gated, initialDensity: null }),
      'gates before T_end alone, with the density they began with, found sampled',
    ],
    [
      'retained other ranks than it has',
      withVectors({ ...pruned, retained: { ...pruned.retained!, ranks: { [query.name]: 1, [value.name]: 1 } } }),
      'retained ranks that are those of its matrices, found others',
    ],
    [
      'retained ranks of strangers',
      withVectors({ ...pruned, retained: { ...pruned.retained!, ranks: { ...pruned.retained!.ranks, x: 1 } } }),
      'retained ranks that are those of its matrices, found others',
    ],
    [
      'has a longer vector',
      withVectors(gated, layoutOf(config, gated).size + 1),
      `expected tensor state.parameters of F32 [${layoutOf(config, gated).size}], found F32 [${layoutOf(config, gated).size + 1}]`,
    ],
    [
      'has no number where a parameter was',
      { ...withVectors(gated), parameters: one(withVectors(gated).parameters, 7, NaN) },
      'expected tensor state.parameters of finite numbers, found NaN',
    ],
    [
      'has an infinite moment',
      { ...withVectors(gated), firstMoment: one(withVectors(gated).firstMoment, 0, -Infinity) },
      'expected tensor state.firstMoment of finite numbers, found -Infinity',
    ],
    [
      'has a negative mean of squares',
      { ...withVectors(gated), secondMoment: one(withVectors(gated).secondMoment, 1, -1) },
      'expected tensor state.secondMoment of finite numbers from 0, found -1',
    ],
  ])('because it %s is refused, and nothing is changed', async (_, state, message) => {
    await saveCheckpoint(folder, checkpointOf(withVectors({ ...gated, step: 3 })))
    await saveCheckpoint(folder, checkpointOf(state))
    expect(await refusal()).toContain(message)
  })

  it('because its best is none is refused too', async () => {
    await saveCheckpoint(folder, {
      ...checkpointOf(withVectors(gated)),
      best: { state: withVectors({ ...gated, step: 9 }), step: 9, selection: 1, scores: {} },
    })
    expect(await refusal()).toContain('expected a best of this run, by its model and data as they are now: at most 8 steps')
  })
})

describe('what is no checkpoint', () => {
  beforeEach(async () => {
    await saveCheckpoint(folder, checkpointOf(withVectors(gated)))
  })

  it('but larger than any of the run could be is refused by its size, before a byte is read', async () => {
    const handle = await open(file(4), 'r+')
    await handle.truncate(2 ** 42)
    await handle.close()
    const began = performance.now()
    expect(await refusal()).toMatch(
      /^F\/step-000000004\.safetensors: expected at most 160\d{5} bytes, by the model as it is now, found 4398046511104$/,
    )
    expect(performance.now() - began).toBeLessThan(1_000)
  })
  it('but a link out of the folder is not followed, and what it leads to stays as it is', async () => {
    await rename(file(4), join(root, 'elsewhere'))
    await symlink(join(root, 'elsewhere'), file(4))
    expect((await read()).told[0]).toBe(
      `F/step-000000004.safetensors: expected a file within F, found a link to ${join(root, 'elsewhere')}; set aside as F/step-000000004.safetensors.damaged`,
    )
    expect((await readFile(join(root, 'elsewhere'))).length).toBeGreaterThan(100)
  })
  it('but a pipe is not waited for, as a checkpoint or as its checksum', async () => {
    await rm(`${file(4)}.sha256`)
    execFileSync('mkfifo', [`${file(4)}.sha256`, file(5)])
    const { told } = await read()
    expect(told.map((line) => line.split(';')[0])).toEqual([
      'F/step-000000005.safetensors: expected a file, found something else',
      'F/step-000000004.safetensors.sha256: expected a file, found something else',
    ])
  })
  it('but its bytes with one bit of a number changed is refused by its checksum', async () => {
    const bytes = await readFile(file(4))
    await writeFile(
      file(4),
      bytes.map((byte, i) => (i === bytes.length - 4 ? byte ^ 1 : byte)),
    )
    expect((await read()).told[0]).toMatch(/^F\/step-000000004\.safetensors: expected the checksum [0-9a-f]{64}, found [0-9a-f]{64};/)
  })
  it('but one without its checksum is refused', async () => {
    await rm(`${file(4)}.sha256`)
    expect((await read()).told[0]).toContain('F/step-000000004.safetensors: expected the checksum in its .sha256 file, found no such file')
  })
  it('but JSON a million levels deep is refused in one line', async () => {
    const header = Buffer.from(JSON.stringify({ __metadata__: { content: '['.repeat(1_000_000) } }))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    await writeFile(file(4), Buffer.concat([length, header]))
    await sign(4)
    expect(await refusal()).toContain('F/step-000000004.safetensors: expected at most 64 levels of JSON, found more')
  })
})
