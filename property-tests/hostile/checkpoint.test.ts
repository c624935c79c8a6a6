/** A checkpoint is validated against the run's own start, because its checksum does not prove who wrote it. */
import type { UpdatedBlock } from '../../accelerated/parameters/layout.js'
import { lineInFlags } from '../../finetuning/commandLine/optionNames.js'
import { createHash } from 'node:crypto'
import { lstat, mkdir, open, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { beforeEach, describe, expect, it } from 'vitest'
import { InputError } from '../../accelerated/errors/inputError.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { salora } from '../../accelerated/methods/salora/salora.js'
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import { newestCheckpoint, type RunOutline } from '../../accelerated/checkpoints/loadCheckpoint.js'
import { type Checkpoint, saveCheckpoint } from '../../accelerated/checkpoints/checkpointFile.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { gated, matrices, pruned, outlineOf, sizeIn, stateOf, type Described } from './saloraRun.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const [query, value] = matrices
const checkpointOf = (state: RunState): Checkpoint => ({ state, best: null, lastEvaluation: null, byMatrix: {}, metricsLines: 4 })
const bestOf = (described: Described) => ({
  parameters: stateOf(described).parameters,
  ...described,
  selection: 0.5,
  scores: { accuracy: 0.5 },
})
const save = (checkpoint: Checkpoint): Promise<string> => saveCheckpoint(folder, 'salora', checkpoint)
/** The state with another phase. */
const withPhase = (state: Described, change: Partial<SaloraPhase>): RunState => stateOf({ ...state, phase: { ...state.phase, ...change } })

const { folder: root } = temporaryFolder('checkpoint')
let made = 0
let folder = ''
beforeEach(async () => {
  folder = join(root, `c${made++}`)
  await mkdir(folder)
})

/** The reports about corrupt checkpoints, and the step of the one that is used. */
const read = async (dtype: FloatType = 'float32'): Promise<{ readonly messages: readonly string[]; readonly step: number | undefined }> => {
  const messages: string[] = []
  const checkpoint = await newestCheckpoint(folder, await outlineOf(dtype), (message) => messages.push(message.replaceAll(folder, 'F')))
  return { messages, step: checkpoint?.state.step }
}
/** Every file of the folder, and its time. */
const folderNow = async (): Promise<unknown> =>
  Promise.all(
    (await readdir(folder)).map(async (name) => {
      const { ino, size, mtimeMs } = await lstat(join(folder, name))
      return { name, ino, size, mtimeMs }
    }),
  )
/** The line that refuses the folder, which stays unchanged. */
const refusal = async (outline?: RunOutline): Promise<string> => {
  const before = await folderNow()
  const line = await newestCheckpoint(folder, outline ?? (await outlineOf('float32')), (message) => {
    throw new Error(message)
  }).then(
    () => 'no error',
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(InputError)
      return lineInFlags(thrown).replaceAll(folder, 'F')
    },
  )
  expect(await folderNow()).toEqual(before)
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
  ])('a checkpoint in the %s phase is loaded as it was saved', async (_, state) => {
    const saved = { ...checkpointOf(stateOf({ ...state, step: 6 })), best: bestOf(pruned) }
    await save(saved)
    expect(await newestCheckpoint(folder, await outlineOf('float32'), () => undefined)).toEqual(saved)
  })
  it('a checkpoint of a diverging run keeps scores that are not finite', async () => {
    const scores = { loss: 800, perplexity: Infinity, difference: -Infinity, correlation: NaN }
    const best = { ...bestOf(pruned), selection: -Infinity, scores }
    const saved = { ...checkpointOf(stateOf({ ...pruned, step: 6 })), best, lastEvaluation: { step: 6, scores } }
    await save(saved)
    expect(await newestCheckpoint(folder, await outlineOf('float32'), () => undefined)).toEqual(saved)
  })
  it('a checkpoint in float64 is loaded with every bit', async () => {
    const state = stateOf(gated)
    const third = (x: number): number => x + 1 / 3
    const doubles = {
      ...state,
      parameters: Float64Array.from(state.parameters, third),
      firstMoment: Float64Array.from(state.firstMoment, third),
      secondMoment: Float64Array.from(state.secondMoment, third),
    }
    await save(checkpointOf(doubles))
    expect((await newestCheckpoint(folder, await outlineOf('float64'), () => undefined))?.state).toEqual(doubles)
    expect(await refusal()).toMatch(/^F\/step-000000004\.safetensors: expected tensor parameters of F32 \[\d+\], got F64 \[\d+\]$/)
  })
})

const one = (vector: Vector, at: number, x: number): Vector => vector.map((old, i) => (i === at ? x : old))

describe('a checkpoint with a valid checksum', () => {
  it.each<readonly [string, RunState, string]>([
    ['has more steps than the run', stateOf({ ...gated, step: 9 }), 'at most 8 steps, got 9'],
    [
      'adapts a matrix of another name',
      withPhase(gated, { matrices: [query, { ...value, name: 'x' }] }),
      'with the ranks of its start or, once pruned, fewer, got x 4 × 4 of rank 2',
    ],
    [
      'adapts a matrix of another size',
      withPhase(gated, { matrices: [query, { ...value, d: 6 }] }),
      'got encoder.layer.0.attention.self.value 6 × 4 of rank 2',
    ],
    [
      'has a rank above that of the start',
      withPhase(pruned, { matrices: [{ ...value, r: 3 }] }),
      'got encoder.layer.0.attention.self.value 4 × 4 of rank 3',
    ],
    [
      'has a lower rank before it is pruned',
      withPhase(gated, { matrices: [query, { ...value, r: 1 }] }),
      'got encoder.layer.0.attention.self.value 4 × 4 of rank 1',
    ],
    ['lacks a matrix before it is pruned', withPhase(gated, { matrices: [query] }), '2 matrices, each once and in their order, got 1'],
    [
      'has a matrix twice',
      withPhase(pruned, {
        matrices: [
          { ...value, r: 1 },
          { ...value, r: 1 },
        ],
      }),
      'those matrices, each once and in their order, got 2',
    ],
    ['has them in another order', withPhase(gated, { matrices: [value, query] }), '2 matrices, each once and in their order, got 2'],
    ['samples gates after they were closed', withPhase(pruned, { stage: 'gated' }), 'retention after T_end, and nowhere else, got gated'],
    [
      'samples gates that never opened',
      withPhase(gated, { opened: null }),
      'gates from T_start on, with the density they began with, got gated',
    ],
    [
      'has opened its gates but does not sample them',
      withPhase(gated, { stage: 'before' }),
      'gates from T_start on, with the density they began with, got before',
    ],
    [
      'has closed its gates but retained nothing',
      withPhase(gated, { stage: 'after' }),
      'retention after T_end, and nowhere else, got after',
    ],
    [
      'opened its gates at a later step than its own',
      withPhase(gated, { opened: { step: 5, density: 0.5 } }),
      'gates opened and closed within 4 steps, got 5 and ',
    ],
    [
      'opened its gates after closing them',
      withPhase(pruned, { opened: { step: 6, density: 0.5 } }),
      'gates opened and closed within 6 steps, got 6 and 5',
    ],
    [
      'closed its gates at a later step than its own',
      withPhase(pruned, { retained: { ...pruned.phase.retained!, step: 7 } }),
      'gates opened and closed within 6 steps, got 2 and 7',
    ],
    [
      'has gates of more triplets than its matrices',
      withPhase(pruned, { gates: [[0.5, 0.5]] }),
      'gates and norms of as many triplets as its matrices have, got others',
    ],
    [
      'has norms of fewer triplets than its matrices',
      withPhase(pruned, { squaredNorms: [] }),
      'gates and norms of as many triplets as its matrices have, got others',
    ],
    ['is in an unknown stage', withPhase(gated, { stage: 'open' as 'gated' }), 'a phase of salora, got '],
    [
      'retained other ranks than it has',
      withPhase(pruned, { retained: { ...pruned.phase.retained!, ranks: { [query.name]: 1, [value.name]: 1 } } }),
      'retained ranks that are those of its matrices, got others',
    ],
    [
      'retained ranks of unknown matrices',
      withPhase(pruned, { retained: { ...pruned.phase.retained!, ranks: { ...pruned.phase.retained!.ranks, x: 1 } } }),
      'retained ranks that are those of its matrices, got others',
    ],
    [
      'has a longer vector',
      stateOf(gated, sizeIn(gated.phase) + 1),
      `expected tensor parameters of F32 [${sizeIn(gated.phase)}], got F32 [${sizeIn(gated.phase) + 1}]`,
    ],
    [
      'has a parameter that is not a number',
      { ...stateOf(gated), parameters: one(stateOf(gated).parameters, 7, NaN) },
      'expected tensor parameters of finite numbers, got NaN',
    ],
    [
      'has an infinite moment',
      { ...stateOf(gated), firstMoment: one(stateOf(gated).firstMoment, 0, -Infinity) },
      'expected tensor firstMoment of finite numbers, got -Infinity',
    ],
    [
      'has a negative mean of squares',
      { ...stateOf(gated), secondMoment: one(stateOf(gated).secondMoment, 1, -1) },
      'expected tensor secondMoment of finite numbers from 0, got -1',
    ],
  ])('is refused, and nothing changes, if it %s', async (_, state, message) => {
    await save(checkpointOf(stateOf({ ...gated, step: 3 })))
    await save(checkpointOf(state))
    expect(await refusal()).toContain(message)
  })

  it.each<readonly [string, Described, string]>([
    [
      'of a later step',
      { ...pruned, step: 7 },
      'expected a state of this run with its current model and data: a best step before its own, got 7',
    ],
    [
      'with retained ranks of unknown matrices',
      { ...pruned, phase: { ...pruned.phase, matrices: [{ ...query, r: 1 }] } },
      'retained ranks that are those of its matrices',
    ],
  ])('is refused if its best evaluation is one %s', async (_, best, message) => {
    await save({ ...checkpointOf(stateOf(pruned)), best: bestOf(best) })
    expect(await refusal()).toContain(message)
  })

  it("is refused if a vector of its method's memory is missing or of another size, and loaded with it", async () => {
    const optimizerExtension = () => ({ names: ['slow'], afterUpdate: (updated: readonly UpdatedBlock[]) => updated })
    const remembering = await outlineOf('float32', { ...salora, train: { ...salora.train, optimizerExtension } })
    const state = stateOf(gated)
    await save(checkpointOf(state))
    expect(await refusal(remembering)).toContain(`expected tensor slow of F32 [${sizeIn(gated.phase)}], got none of that name`)
    await save(checkpointOf({ ...state, memory: { slow: new Float32Array(3) } }))
    expect(await refusal(remembering)).toContain(`expected tensor slow of F32 [${sizeIn(gated.phase)}], got F32 [3]`)
    const saved = checkpointOf({ ...state, memory: { slow: state.firstMoment } })
    await save(saved)
    expect(await newestCheckpoint(folder, remembering, () => undefined)).toEqual(saved)
  })

  it('is refused if it is of another method or an older layout', async () => {
    await saveCheckpoint(folder, 'lora', checkpointOf(stateOf(gated)))
    expect(await refusal()).toContain('method salora, got lora')
    const header = Buffer.from(JSON.stringify({ __metadata__: { content: JSON.stringify({ state: { step: 4 }, best: null }) } }))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    await writeFile(file(4), Buffer.concat([length, header]))
    await sign(4)
    expect(await refusal()).toBe(
      'F/step-000000004.safetensors: expected a checkpoint of layout 2, as this version of salora writes it, got layout 1; resume with the version that wrote it, or start over',
    )
  })
})

describe('a file in place of a checkpoint', () => {
  beforeEach(async () => {
    await save(checkpointOf(stateOf(gated)))
  })

  it('is refused unread if it is larger than any state of the run', async () => {
    const handle = await open(file(4), 'r+')
    await handle.truncate(2 ** 42)
    await handle.close()
    const began = performance.now()
    expect(await refusal()).toMatch(
      /^F\/step-000000004\.safetensors: expected at most 160\d{5} bytes for the current model, got 4398046511104$/,
    )
    expect(performance.now() - began).toBeLessThan(1_000)
  })
  it('is refused if it is a link out of the folder, whose target stays unchanged', async () => {
    await rename(file(4), join(root, 'elsewhere'))
    await symlink(join(root, 'elsewhere'), file(4))
    expect(await refusal()).toBe(
      `F: expected an intact checkpoint (to start over, choose a new --output), got 1 corrupt and no other: F/step-000000004.safetensors: expected a file within F, got a link to ${join(root, 'elsewhere')}`,
    )
    expect((await readFile(join(root, 'elsewhere'))).length).toBeGreaterThan(100)
  })
  it('is refused without waiting if it or its checksum is a pipe', async () => {
    await save(checkpointOf(stateOf({ ...gated, step: 3 })))
    await rm(`${file(4)}.sha256`)
    execFileSync('mkfifo', [`${file(4)}.sha256`, file(5)])
    const { messages, step } = await read()
    expect(step).toBe(3)
    expect(messages.map((line) => line.split(';')[0])).toEqual([
      'F/step-000000005.safetensors: expected a file, got something else',
      'F/step-000000004.safetensors.sha256: expected a file, got something else',
    ])
  })
  it('is refused by its checksum if one bit differs', async () => {
    const bytes = await readFile(file(4))
    await writeFile(
      file(4),
      bytes.map((byte, i) => (i === bytes.length - 4 ? byte ^ 1 : byte)),
    )
    expect(await refusal()).toMatch(/: F\/step-000000004\.safetensors: expected the checksum [0-9a-f]{64}, got [0-9a-f]{64}$/)
  })
  it('is refused without a checksum', async () => {
    await rm(`${file(4)}.sha256`)
    expect(await refusal()).toContain('F/step-000000004.safetensors: expected the checksum in its .sha256 file, got no such file')
  })
  it('is refused if its JSON has a million levels', async () => {
    const header = Buffer.from(JSON.stringify({ __metadata__: { content: '['.repeat(1_000_000) } }))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    await writeFile(file(4), Buffer.concat([length, header]))
    await sign(4)
    expect(await refusal()).toContain('F/step-000000004.safetensors: expected at most 64 levels of JSON, got more')
  })
})
