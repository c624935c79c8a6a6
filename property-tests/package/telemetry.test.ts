/**
 * Nothing phones home. In a network namespace without a route, the kernel counts the packets that it cannot send. Each look-up of a name is one or
 * more. An empty home folder shows every file that was written.
 */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { rootCertificates } from 'node:tls'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { toyFile } from '../cli/toyTask.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { program } from '../cli/spawnSalora.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const isolated = ['--user', '--map-root-user', '--net', '--']
const possible = process.platform === 'linux' && spawnSync('unshare', [...isolated, 'true']).status === 0

const { folder } = temporaryFolder('telemetry')
beforeAll(async () => {
  // without certificates ONNX Runtime would be silent for want of them
  await writeFile(join(folder, 'certificates.pem'), rootCertificates.join('\n'))
  await writeTinyModel(join(folder, 'model'))
  await writeFile(join(folder, 'toy.tsv'), toyFile(40))
})

type Observed = { readonly lookUps: number; readonly written: readonly string[]; readonly output: string; readonly seconds: number }

/** Runs a line of the shell, alone with an empty home folder. `until` ends it early. */
const observed = async (name: string, line: string): Promise<Observed> => {
  const home = join(folder, `home-${name}`)
  await mkdir(home)
  const began = performance.now()
  const child = spawn('unshare', [...isolated, 'sh', '-c', `(${line}) 2>&1; echo; grep '^Ip:' /proc/net/snmp`], {
    cwd: folder,
    // nothing else: ONNX Runtime is silent where a variable says that this is continuous integration; a Vulkan driver's own cache is not meant
    env: { PATH: process.env['PATH'], HOME: home, SSL_CERT_FILE: join(folder, 'certificates.pem'), MESA_SHADER_CACHE_DISABLE: 'true' },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  await new Promise((done) => {
    child.on('close', done)
  })
  const files = await readdir(home, { recursive: true, withFileTypes: true })
  const [names = [], counts = []] = [...output.matchAll(/^Ip: (.*)$/gm)].map(([, rest = '']) => rest.split(' '))
  return {
    lookUps: Number(counts[names.indexOf('OutNoRoutes')]),
    written: files.filter((file) => file.isFile()).map((file) => file.name),
    output,
    seconds: (performance.now() - began) / 1000,
  }
}

/** A program in JavaScript, run by this Node. */
const node = async (name: string, text: string): Promise<string> => {
  await writeFile(join(folder, name), text)
  return `'${process.execPath}' '${name}'`
}
const moduleOf = (path: string): string => JSON.stringify(pathToFileURL(resolve(path)).href)
const held = (seconds: number): string => `await new Promise((done) => setTimeout(done, ${1000 * seconds}))`

describe.skipIf(!possible)('ONNX Runtime (skipped where no network namespace can be made)', () => {
  it('asks for no name and writes no file below the home folder, by the command line, in threads and as a library', async () => {
    // what the observer sees of ONNX Runtime left alone; it also says how long the others must be watched
    const control = await observed(
      'control',
      await node(
        'control.mjs',
        `import { readFileSync } from 'node:fs'
         import { createRequire } from 'node:module'
         createRequire(${moduleOf('package.json')})('onnxruntime-node').InferenceSession.create(new Uint8Array(3)).catch(() => undefined)
         const noRoutes = () => Number(readFileSync('/proc/net/snmp', 'utf8').split('\\n').filter((l) => l.startsWith('Ip:'))[1].split(' ')[12])
         for (let waited = 0; waited < 60 && noRoutes() === 0; waited += 0.2) ${held(0.2)}`,
      ),
    )
    expect(control.lookUps).toBeGreaterThan(0)
    expect(control.written).toContain('deviceid')

    const long = Math.ceil(control.seconds + 12) // a busy machine needs some of it to start
    const train = `salora train --offline --model model --task toy.tsv --method lora --device cpu --batch-size 4 --max-length 16`
    const salora = (line: string): string => line.replaceAll('salora', `'${process.execPath}' '${program}'`)
    const runs = {
      doctor: salora('salora doctor --json'),
      train: salora(`nice -n 19 timeout -s INT ${long} ${train} --max-steps 1000000 --output runs/long --json`),
      predict: salora(
        `${train} --max-steps 1 --output runs/short && (echo good; sleep ${long}) | salora predict --offline --run runs/short`,
      ),
      library: await node(
        'library.mjs',
        `import { probeDevice } from ${moduleOf('dist/accelerated/index.js')}
         console.log((await probeDevice('cpu')).detail)
         ${held(long)}`,
      ),
      thread: await node(
        'thread.mjs',
        `import ${moduleOf('dist/index.js')}
         import { Worker, isMainThread } from 'node:worker_threads'
         if (isMainThread) new Worker(new URL(import.meta.url))
         else {
           console.log((await (await import(${moduleOf('dist/accelerated/index.js')})).probeDevice('cpu')).detail)
           ${held(long)}
         }`,
      ),
    }
    const observations = await Promise.all(Object.entries(runs).map(([name, line]) => observed(name, line)))
    const words = [/"works": true/, /"interrupted": true/, /"label":/, /ran a training step/, /ran a training step/]
    observations.forEach(({ output }, i) => expect(output).toMatch(words[i] ?? /never/))
    expect(observations.map(({ lookUps, written }) => ({ lookUps, written }))).toEqual(
      observations.map(() => ({ lookUps: 0, written: [] })),
    )
  }, 300_000)
})

describe('a thread that was started with an environment of its own', () => {
  it('does not load ONNX Runtime with its telemetry on: it cannot switch it off, and says what can', async () => {
    await writeFile(
      join(folder, 'own.mjs'),
      `import { Worker, isMainThread } from 'node:worker_threads'
       if (isMainThread) new Worker(new URL(import.meta.url), { env: {} })
       else console.log((await (await import(${moduleOf('dist/accelerated/index.js')})).probeDevice('cpu')).detail)`,
    )
    const { ORT_DISABLE_TELEMETRY: _, ...environment } = process.env
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'own.mjs')], { env: environment })
    expect(stdout).toBe(
      'ORT_DISABLE_TELEMETRY: expected 1 in the environment of this thread (import salora in the main thread first), got nothing\n',
    )
  })
})
