/** Settings of cards: the number of the card, TF32, and the memory that its driver reports. A card is not needed. */
import { chmod, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { findDevice } from '../../../accelerated/engines/devices/findDevice.js'
import { probeStep } from '../../../accelerated/engines/deviceProbe.js'
import { cuda, type Device } from '../../../accelerated/engines/devices/device.js'
import { nodeEngine } from '../../../accelerated/engines/onnxRuntimeNode.js'
import { noWeights } from '../../../accelerated/engines/engine.js'
import { parseCard, nvidiaCard, visibleCard, vulkanRemedy } from '../../../accelerated/engines/nativeMachine.js'
import { exp, input } from '../../../accelerated/graph/operators.js'
import { parseSettings, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { probeInSubprocess } from '../../../cli/doctor/probeInSubprocess.js'
import { estimateLine, estimateTable, estimateWarning } from '../../../cli/format/estimate.js'
import type { Estimate } from '../../../finetuning/run/estimateRun.js'
import { parseRunConfig } from '../../../finetuning/run/runFiles.js'
import { cpuEngine } from '../../support/cpuEngine.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('card')
const [path, visible] = [process.env['PATH'] ?? '', process.env['CUDA_VISIBLE_DEVICES']]
afterAll(() => {
  process.env['PATH'] = path
  if (visible === undefined) delete process.env['CUDA_VISIBLE_DEVICES']
})

/** Puts a program in the place of nvidia-smi. */
const driver = async (body: string): Promise<void> => {
  const file = join(folder, 'nvidia-smi')
  await writeFile(file, `#!${process.execPath}\n${body}`)
  await chmod(file, 0o755)
  process.env['PATH'] = `${folder}${delimiter}${path}`
}

describe('the memory of a card', () => {
  it('is what nvidia-smi says of the card of this number', async () => {
    await driver(`
      const [id] = process.argv.slice(2)
      if (id !== '--id=1') process.exit(6)
      console.log('NVIDIA H100 80GB HBM3, 81559, 550.54.15')`)
    expect(await nvidiaCard(1)).toEqual({ name: 'NVIDIA H100 80GB HBM3', memoryBytes: 81559 * 2 ** 20, driver: '550.54.15' })
    expect(await nvidiaCard(0)).toBeNull()
    process.env['CUDA_VISIBLE_DEVICES'] = '4, 1'
    expect((await nvidiaCard(1))?.driver).toBe('550.54.15')
    delete process.env['CUDA_VISIBLE_DEVICES']
  })

  it('is unknown where nvidia-smi is absent, answers nonsense, or does not answer', async () => {
    await driver(`console.log('No devices were found')`)
    expect(await nvidiaCard(0)).toBeNull()
    await driver('setTimeout(() => undefined, 60_000)')
    const began = performance.now()
    expect(await nvidiaCard(0)).toBeNull()
    expect(performance.now() - began).toBeLessThan(10_000)
    process.env['PATH'] = folder // without node, so that the program cannot start
    await rm(join(folder, 'nvidia-smi'))
    expect(await nvidiaCard(0)).toBeNull()
    process.env['PATH'] = path
  }, 20_000)

  it('takes the names of CUDA_VISIBLE_DEVICES, and refuses other texts', () => {
    expect([visibleCard(0, undefined), visibleCard(2, ''), visibleCard(1, '3,GPU-8f6'), visibleCard(2, '3,5')]).toEqual([
      '0',
      '2',
      'GPU-8f6',
      '2',
    ])
    expect([parseCard(''), parseCard('A, B, C'), parseCard('Tesla T4, 15360'), parseCard(`${'x'.repeat(200)}, 1, 5`)]).toEqual([
      null,
      null,
      null,
      null,
    ])
  })

  it('is what an estimate is compared with, where it is known', () => {
    const parts = { weights: 3e9, activations: 4e9, state: 1e9, evaluation: 0, samples: 0, graphs: 5e6, base: 5e8 }
    const estimate: Estimate = { ...parts, peak: 8.505e9, memory: 8e9, card: 'Tesla T4', fitting: [] }
    expect(estimateLine(estimate)).toMatch(/^estimated peak memory: \S+ \S+ on Tesla T4$/)
    expect(estimateWarning(estimate)).toMatch(/, but Tesla T4 has /)
    expect(estimateTable(estimate)).toMatch(/ on Tesla T4$/)
    const { card: _, ...ofMachine } = estimate
    expect(estimateWarning(ofMachine)).toMatch(/, but this machine has /)
  })
})

describe('the settings of a card', () => {
  it('are in the name of its device, and other devices have none', async () => {
    expect(['cuda', 'cuda:1', 'cuda:tf32', 'cuda:2:tf32'].map((name) => findDevice(name).name)).toEqual([
      'cuda',
      'cuda',
      'cuda:tf32',
      'cuda:tf32',
    ])
    await driver(`console.log('Card ' + process.argv[2].slice(5) + ', 15360, 550')`)
    expect([(await findDevice('cuda').card?.())?.name, (await findDevice('cuda:2:tf32').card?.())?.name]).toEqual(['Card 0', 'Card 2'])
    for (const name of ['cpu:1', 'webgpu:tf32', 'cuda:', 'cuda:tf32:1', 'cuda:1234'])
      expect(() => findDevice(name)).toThrow('device: expected one of ')
  })

  it('are settings of a run, of earlier revisions by other names', () => {
    for (const device of ['auto', 'cuda', 'cuda:1', 'cuda:tf32', 'cuda:2:tf32'] as const)
      expect(resolveSettings({ device }).device).toBe(device)
    for (const device of ['cpu:1', 'cuda:-1', 'cuda:x', 'cuda:tf32:1'])
      expect(() => parseSettings({ device })).toThrow('device: expected one of auto, ')
    expect(() => parseSettings({ device: 'cpus' })).toThrow('(did you mean "cpu"?)')
    const stored = (settings: object, device = 'cuda') =>
      parseRunConfig(JSON.stringify({ formatVersion: 2, model: 'm', task: {}, settings: { seed: 0, ...settings }, device }), 'config.json')
    const old = { device: 'auto', deviceId: 0, tf32: false, strictDevice: true, sampleMaxNewTokens: 8, sampleTemperature: 1 }
    expect(stored(old)).toMatchObject({ settings: { device: 'auto' }, device: 'cuda' })
    expect(Object.keys(stored(old).settings)).toEqual(['head', 'evalFolds', 'contrast', 'seed', 'device'])
    expect(stored({ ...old, device: 'cuda', deviceId: 1 })).toMatchObject({ settings: { device: 'cuda:1' }, device: 'cuda' })
    expect(stored({ ...old, deviceId: 1, tf32: true })).toMatchObject({ settings: { device: 'cuda:1:tf32' }, device: 'cuda:tf32' })
  })

  it('reach the provider: the number of the card as the binding names it', async () => {
    const create = vi.spyOn((await import('onnxruntime-node')).InferenceSession, 'create')
    const provider = { provider: { name: 'cpu' }, target: cuda.target, preallocatedOutputs: false }
    try {
      const outputs = { y: exp(input('x', [1], 'float32')) }
      for (const isCuda of [true, false]) {
        const session = await nodeEngine({ ...provider, isCuda }, { threads: 1, deviceId: 3 }).open(outputs, noWeights)
        await session.release()
      }
      const asked = create.mock.calls.map(
        ([, options]) => (options as { readonly executionProviders?: unknown } | undefined)?.executionProviders,
      )
      expect(asked).toEqual([[{ name: 'cpu', deviceId: 3 }], [{ name: 'cpu' }]])
    } finally {
      create.mockRestore()
    }
  })
})

describe('TF32', () => {
  /** What a thread prints that imports the module in the environment of its parent. */
  const inThread = (body: string, environment: Readonly<Record<string, string>>): Promise<string> =>
    new Promise((resolve, reject) => {
      const module = new URL('../../../dist/accelerated/engines/loadOnnxRuntime.js', import.meta.url).href
      const code = `
        const { parentPort } = require('node:worker_threads')
        import(${JSON.stringify(module)}).then(({ useTf32 }) => {
          try { ${body}; parentPort.postMessage('fine') } catch (error) { parentPort.postMessage(error.message) }
        })`
      const worker = new Worker(code, { eval: true, env: environment })
      worker.on('message', resolve)
      worker.on('error', reject)
    })

  it('is off or on in a thread as the environment of the process has it, and is refused otherwise', async () => {
    expect(await inThread('useTf32(false)', { NVIDIA_TF32_OVERRIDE: '0' })).toBe('fine')
    expect(await inThread('useTf32(true)', {})).toBe('fine')
    expect(await inThread('useTf32(true)', { NVIDIA_TF32_OVERRIDE: '0' })).toBe(
      'NVIDIA_TF32_OVERRIDE: expected nothing in the environment of this thread (import salora in the main thread first), got "0"',
    )
    expect(await inThread('useTf32(false)', {})).toContain('NVIDIA_TF32_OVERRIDE: expected 0 in the environment')
  })

  it('is switched off by the main thread as it imports salora, and one process has one choice', async () => {
    const { execFile } = await import('node:child_process')
    const module = new URL('../../../dist/accelerated/index.js', import.meta.url).href
    const tf32 = new URL('../../../dist/accelerated/engines/loadOnnxRuntime.js', import.meta.url).href
    const code = `
      await import(${JSON.stringify(module)})
      const say = () => console.log(process.env.NVIDIA_TF32_OVERRIDE ?? 'nothing')
      say()
      const { useTf32 } = await import(${JSON.stringify(tf32)})
      useTf32(true)
      say()
      try { useTf32(false) } catch (error) { console.log(error.message) }`
    const printed = await new Promise<string>((resolve, reject) =>
      execFile(
        process.execPath,
        ['--input-type=module', '-e', code],
        { env: { ...process.env, NVIDIA_TF32_OVERRIDE: '1' } },
        (error, stdout) => (error === null ? resolve(stdout) : reject(error)),
      ),
    )
    expect(printed.trim().split('\n')).toEqual([
      '0',
      'nothing',
      'tf32: expected true, as an earlier run of this process has it, got false; start another process for this run',
    ])
  })
})

describe('the step that probes a device', () => {
  it('has its known result on the processor, and names what a wrong device computes', async () => {
    const engine = cpuEngine()
    expect(await probeStep(engine)).toBeNull()
    const wrong: ReturnType<Device['engine']> = {
      open: async (...graph) => {
        const session = await engine.open(...graph)
        return {
          ...session,
          run: async (feeds) => {
            const results = await session.run(feeds)
            return { ...results, next: Float32Array.from(results['next'] as Float32Array, (x) => -x) }
          },
        }
      },
    }
    expect(await probeStep(wrong)).toBe('computed 1.386, 1, -1, 1, -1 instead of 1.386, -1, 1, -1, 1')
  })
})

describe('a device that doctor examines in a process of its own', () => {
  const program = async (body: string): Promise<string> => {
    const file = join(folder, 'examine.mjs')
    await writeFile(file, body)
    return file
  }

  it('is reported as it is found, without what its driver writes', async () => {
    const { report, speedups } = await probeInSubprocess('cuda')
    expect([report.device, report.works, speedups]).toEqual(['cuda', false, []])
    expect(report.detail).toContain('not in this build of ONNX Runtime')
  }, 60_000)

  it('is reported as missing, with the library that its provider lacks', async () => {
    const failing = await program(`
      console.error('[E:onnxruntime] FAIL : Failed to load library /a/libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open')
      const report = { device: 'cuda', works: false, detail: 'Failed to load shared library', remedy: 'get it' }
      process.send({ report, speedups: [] }, () => process.disconnect())`)
    expect((await probeInSubprocess('cuda', failing)).report.detail).toBe('Failed to load shared library (libcublasLt.so.12: cannot open)')
  })

  it('is reported as missing if it ends the process', async () => {
    const { report } = await probeInSubprocess('webgpu', await program(`process.kill(process.pid, 'SIGSEGV')`))
    expect(report).toMatchObject({ device: 'webgpu', works: false, detail: 'its process ended by SIGSEGV' })
    expect(report.remedy).toContain('install a Vulkan driver')
  })

  it('has a remedy that names the software Vulkan of a Chromium that is here', () => {
    const path = '/usr/lib/chromium/vk_swiftshader_icd.json'
    expect(vulkanRemedy((file) => file === path)).toMatch(new RegExp(`Chromium works: VK_ICD_FILENAMES=${path}$`))
    expect(vulkanRemedy(() => false)).toMatch(/apt-get install chromium\)$/)
  })
})
