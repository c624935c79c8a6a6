/** System errors while a run is resumed: an unreadable checkpoint does not count as damaged, and nothing is changed. */
import type * as plainFiles from 'node:fs'
import * as files from 'node:fs/promises'
import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { InputError } from '../../../accelerated/errors/inputError.js'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { finetuneJob } from '../../../finetuning/nodeMachine.js'
import type { RunOptions } from '../../../finetuning/run/run.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { toyFile } from '../../cli/toyTask.js'
import { treeOf } from '../../hostile/survival.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

type Operation = 'open' | 'read' | 'write' | 'readdir' | 'stat' | 'realpath' | 'rename' | 'unlink' | 'mkdir'
/** Which operation on which path fails with which error of the system. */
const fault = vi.hoisted(() => ({ now: null as null | { readonly operation: string; readonly path: RegExp; readonly code: string } }))

const meets = vi.hoisted(() => (operation: string, path: unknown): void => {
  if (fault.now?.operation !== operation || !fault.now.path.test(String(path))) return
  throw Object.assign(new Error(`${fault.now.code}: from the system, ${operation} '${String(path)}'`), { code: fault.now.code })
})

/** Files are written through descriptors (atomicFile.ts). */
vi.mock('node:fs', async (original) => {
  const real = await original<typeof plainFiles>()
  const paths = new Map<number, string>()
  const writeTo = promisify(real.write) as (descriptor: number, bytes: Uint8Array) => Promise<unknown>
  const write = Object.assign(() => undefined, {
    [promisify.custom]: async (descriptor: number, bytes: Uint8Array) => {
      meets('write', paths.get(descriptor))
      return writeTo(descriptor, bytes)
    },
  })
  return {
    ...real,
    write,
    openSync: (path: string, flags: string) => {
      meets('open', path)
      const descriptor = real.openSync(path, flags)
      paths.set(descriptor, path)
      return descriptor
    },
  }
})

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof files>()
  const failing =
    <A extends readonly unknown[], R>(operation: Operation, action: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      meets(operation, given[0])
      return action(...given)
    }
  return {
    ...real,
    readdir: failing('readdir', real.readdir as (...given: readonly unknown[]) => Promise<unknown>),
    stat: failing('stat', real.stat),
    realpath: failing('realpath', real.realpath as (...given: readonly unknown[]) => Promise<unknown>),
    rename: failing('rename', real.rename),
    unlink: failing('unlink', real.unlink),
    mkdir: failing('mkdir', real.mkdir as (...given: readonly unknown[]) => Promise<unknown>),
    open: async (path: string, ...given: readonly never[]) => {
      meets('open', path)
      const handle = await real.open(path, ...given)
      const on = (operation: Operation, action: (...given: readonly unknown[]) => Promise<unknown>) =>
        failing(operation, (_, ...given: readonly unknown[]) => action.apply(handle, [...given])).bind(null, path)
      return Object.assign(handle, { read: on('read', handle.read as never), write: on('write', handle.write as never) })
    },
  }
})

const { folder: root } = temporaryFolder('system')
let output = ''
let made = 0
const optionsOf = (folder: string, resume: boolean): RunOptions => ({
  model: join(root, 'tiny'),
  task: { task: join(root, 'toy.tsv') },
  output: folder,
  resume,
  settings: resolveSettings({ maxSteps: 6, saveSteps: 2, maxLength: 16, device: 'cpu', threads: 1 }),
})
const trained = async (folder: string, resume: boolean): Promise<readonly number[]> => {
  const steps: number[] = []
  for await (const event of finetuneJob(optionsOf(folder, resume), new AbortController().signal))
    if (event.kind === 'step') steps.push(event.step)
  return steps
}
beforeAll(async () => {
  await writeTinyModel(join(root, 'tiny'))
  await writeFile(join(root, 'toy.tsv'), toyFile(40))
  await trained(join(root, 'whole'), false)
  await rm(join(root, 'whole', 'result.json'))
})
beforeEach(async () => {
  output = join(root, `run-${made++}`)
  await cp(join(root, 'whole'), output, { recursive: true })
})
afterEach(() => {
  fault.now = null
})

/** The line that a resume ends with; everything in the folder is as it was. */
const refusal = async (met: typeof fault.now): Promise<string> => {
  const before = await treeOf(output)
  fault.now = met
  const line = await trained(output, true).then(
    (steps) => `it took steps ${steps.join()}`,
    (thrown: unknown) => {
      if (!(thrown instanceof InputError)) throw thrown
      return thrown.message
    },
  )
  fault.now = null
  expect(await treeOf(output)).toEqual(before)
  return line
}

describe('a checkpoint that the system cannot read is not treated as damaged: the resume stops and changes nothing', () => {
  it.each<readonly [string, Operation, RegExp, string]>([
    ['checkpoints of another owner', 'open', /step-\d+\.safetensors$/, 'EACCES'],
    ['checkpoints on a broken disk', 'read', /step-\d+\.safetensors$/, 'EIO'],
    ['the newest checkpoint alone on a broken disk', 'read', /step-000000006\.safetensors$/, 'EIO'],
    ['a checksum of another owner', 'open', /step-000000006\.safetensors\.sha256$/, 'EACCES'],
    ['a checkpoint whose size cannot be read', 'stat', /step-000000006\.safetensors$/, 'EACCES'],
    ['a checkpoint whose path cannot be resolved', 'realpath', /step-000000006\.safetensors$/, 'EIO'],
    ['a folder of checkpoints of another owner', 'readdir', /checkpoints$/, 'EACCES'],
    ['more files open than are allowed', 'open', /step-\d+\.safetensors$/, 'EMFILE'],
    ['config.json of another owner', 'open', /run-\d+\/config\.json$/, 'EACCES'],
    ['a network that is gone', 'realpath', /run-\d+\/config\.json$/, 'ESTALE'],
  ])('%s', async (_, operation, path, code) => {
    const line = await refusal({ operation, path, code })
    expect(line).toMatch(/^[^:]+: expected a readable f(ile|older), got .*/)
    expect(line).toContain(`${code}: from the system`)
  })

  it.each<readonly [string, Operation, RegExp, string, string]>([
    ['a disk that is full when config.json is to be written', 'write', /config\.json/, 'ENOSPC', 'no space left on the disk (ENOSPC)'],
    ['a disk that is read-only', 'open', /lock-/, 'EROFS', 'a read-only disk (EROFS)'],
  ])('%s', async (_, operation, path, code, got) => {
    expect(await refusal({ operation, path, code })).toMatch(
      new RegExp(`: expected to write the file, got ${got.replaceAll(/[()]/g, '\\$&')}$`),
    )
  })

  it('a damaged checkpoint beside an unreadable one is not renamed', async () => {
    await truncate(join(output, 'checkpoints', 'step-000000006.safetensors'), 1000)
    expect(await refusal({ operation: 'open', path: /step-000000004\.safetensors$/, code: 'EACCES' })).toContain(
      'step-000000004.safetensors: expected a readable file, got EACCES: from the system',
    )
  })

  it('the run resumes from it once it can be read again', async () => {
    await refusal({ operation: 'open', path: /step-\d+\.safetensors$/, code: 'EACCES' })
    for (const name of ['step-000000006.safetensors', 'step-000000006.safetensors.sha256']) await rm(join(output, 'checkpoints', name))
    expect(await trained(output, true)).toEqual([5, 6])
  })
})

describe('checkpoints that are all damaged', () => {
  const damage = async (step: number): Promise<void> => {
    const path = join(output, 'checkpoints', `step-00000000${step}.safetensors`)
    const bytes = await readFile(path)
    await writeFile(
      path,
      bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 4 : byte)),
    )
  }
  it('stop the resume, which reports their number and the fault, and changes nothing', async () => {
    for (const step of [4, 6]) await damage(step)
    expect(await refusal(null)).toMatch(
      /checkpoints: expected an intact checkpoint \(to start over, choose a new output\), got 2 corrupt and no other: \S+step-000000006\.safetensors: expected the checksum [0-9a-f]{64}, got [0-9a-f]{64}$/,
    )
  })
  it('stop it too if an earlier resume renamed them', async () => {
    for (const step of [4, 6]) {
      const path = join(output, 'checkpoints', `step-00000000${step}.safetensors`)
      await files.rename(path, `${path}.damaged`)
    }
    expect(await refusal(null)).toContain('got 2 corrupt and no other: ')
  })
})
