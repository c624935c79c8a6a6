/** The comparison with PEFT: both workers take turns on the same batches, and a worker that cannot start is reported in one line. */
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { PeersResult } from '../../evaluation/benchmark/comparePeft.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { salora } from './spawnSalora.js'

const { folder: cwd } = temporaryFolder('peers')

/** A program in the place of Python. Asked for the rate of its products with -c, it answers 7. */
const stub = async (name: string, body: string): Promise<string> => {
  const file = join(cwd, name)
  await writeFile(file, `#!${process.execPath}\nif (process.argv[2] === '-c') { console.log(7); process.exit() }\n${body}`)
  await chmod(file, 0o755)
  return file
}
const bench = (...args: readonly string[]) =>
  salora(['bench', '--layers', '1', '--repeats', '3', '--only', '16x64,lora,float32', '--json', '--quiet', ...args], {
    cwd,
    environment: { TMPDIR: cwd },
  })

describe('salora bench --peer', () => {
  it('measures salora alone with --peer none, and leaves no files', async () => {
    const { code, stdout } = await bench('--peer', 'none')
    const { rows } = JSON.parse(stdout) as PeersResult
    expect([code, rows.length]).toEqual([0, 1])
    expect(rows[0]).toMatchObject({ case: '16x64', method: 'lora', precision: 'float32', peer: null, ratio: null })
    const { milliseconds, tokensPerSecond, peakBytes, readySeconds, gigaflops, epochSeconds } = rows[0]!.ours
    // one layer, r = 8: the frozen matrices of queries, keys and values forward, over 1,024 tokens, are the least of a step's products
    expect(((gigaflops ?? NaN) * 1e9 * milliseconds) / 1000).toBeGreaterThan(3 * 2 * 1024 * 768 * 768 * 0.3)
    expect(epochSeconds).toBe(null)
    expect(milliseconds).toBeGreaterThan(1)
    expect(tokensPerSecond).toBeLessThan((1000 * 16 * 64) / (milliseconds / 3))
    expect(peakBytes).toBeGreaterThan(200e6) // the word table alone has 154
    expect(readySeconds).toBeGreaterThan(0.1)
    expect((await readdir(cwd)).filter((name) => name.startsWith('salora-bench'))).toEqual([])
  }, 60_000)

  it('gives both workers the same batches in turn, and compares the times pair by pair', async () => {
    const log = join(cwd, 'log.json')
    const python = await stub(
      'python',
      `const fs = require('node:fs')
      const request = JSON.parse(process.argv[3])
      const batches = JSON.parse(fs.readFileSync(request.batches))
      const asked = []
      console.log(JSON.stringify({ versions: { torch: '0' } }))
      require('node:readline').createInterface(process.stdin).on('line', (line) => {
        asked.push(line)
        console.log(JSON.stringify({ milliseconds: 1e6 * asked.length }))
      }).on('close', () => {
        fs.writeFileSync(${JSON.stringify(log)}, JSON.stringify({ request, asked, program: process.argv[2], shape: [batches.length, batches[0].length, batches[0][0].inputIds.length] }))
        console.log(JSON.stringify({ peakBytes: 5 }))
      })`,
    )
    const { code, stdout } = await bench('--peer', python)
    expect(code).toBe(0)
    const { rows, versions, products } = JSON.parse(stdout) as PeersResult
    expect(products.bfloat16).toBe(7)
    expect(Math.min(products.float32, products.int8)).toBeGreaterThan(1)
    expect(versions).toMatchObject({ torch: '0' })
    const { ours, peer, ratio } = rows[0]!
    expect(peer).toMatchObject({ method: 'lora', precision: 'float32', milliseconds: 4e6, peakBytes: 5 }) // of steps 3 to 5, after two of warm-up
    expect(ratio?.[1]).toBeGreaterThan(0.3 * (4e6 / ours.milliseconds))
    const logged = JSON.parse(await readFile(log, 'utf8')) as { readonly asked: unknown; readonly shape: unknown; readonly program: string }
    expect(logged).toMatchObject({
      asked: ['0', '0', '0', '0', '0'],
      shape: [1, 16, 64],
      request: { method: 'lora', precision: 'float32', mode: 'eager', dropout: 0 },
    })
    expect(await readFile(logged.program, 'utf8')).toContain('import peft')
  }, 60_000)

  it('asks the peer to compile, to use int8 weights, or neither, and warms a compiled one up on each batch', async () => {
    const log = join(cwd, 'modes.jsonl')
    const python = await stub(
      'modePython',
      `const fs = require('node:fs')
      const { method, precision, mode } = JSON.parse(process.argv[3])
      let steps = 0
      console.log(JSON.stringify({ versions: {} }))
      require('node:readline').createInterface(process.stdin).on('line', () => {
        steps++
        console.log(JSON.stringify({ milliseconds: 1e6 }))
      }).on('close', () => {
        fs.appendFileSync(${JSON.stringify(log)}, JSON.stringify([method, precision, mode, steps]) + '\\n')
        console.log(JSON.stringify({ peakBytes: 5 }))
      })`,
    )
    const { code, stdout } = await bench('--peer', python, '--only', '16x64,lora', '--peer-mode', 'eager,compile,torchao', '--repeats', '1')
    expect(code).toBe(0)
    expect((JSON.parse(stdout) as PeersResult).rows.map(({ precision, peer }) => [precision, peer?.precision, peer?.mode])).toEqual([
      ['float32', 'float32', 'eager'],
      ['int8', 'bfloat16', 'eager'],
      ['float32', 'float32', 'compile'],
      ['int8', 'bfloat16', 'compile'],
      ['int8', 'int8', 'torchao'],
    ])
    expect(jsonLines<unknown>(await readFile(log, 'utf8'))).toEqual([
      ['lora', 'float32', 'eager', 3],
      ['lora', 'bfloat16', 'eager', 3],
      ['lora', 'float32', 'compile', 4],
      ['lora', 'bfloat16', 'compile', 4],
      ['lora', 'int8', 'torchao', 3],
    ])
  }, 120_000)

  it('measures a whole epoch and its evaluation with --only mrpc-epoch, each worker in its own order', async () => {
    const rows = Array.from({ length: 37 }, (_, i) => `${i % 2}\t${i}\t${i + 100}\t${'a word '.repeat(1 + (i % 9))}\tanother ${i}`)
    const file = ['Quality\t#1 ID\t#2 ID\t#1 String\t#2 String', ...rows, ''].join('\n')
    for (const name of ['train.tsv', 'dev.tsv']) await writeFile(join(cwd, name), file)
    const log = join(cwd, 'epoch.json')
    const python = await stub(
      'epochPython',
      `const fs = require('node:fs')
      const { batches, evaluation } = JSON.parse(process.argv[3])
      const [own, held] = [batches, evaluation].map((file) => JSON.parse(fs.readFileSync(file)))
      const asked = []
      console.log(JSON.stringify({ versions: {} }))
      require('node:readline').createInterface(process.stdin).on('line', (line) => {
        asked.push(line)
        console.log(JSON.stringify({ milliseconds: line === 'evaluate' ? 5e6 : 1e6 }))
      }).on('close', () => {
        fs.writeFileSync(${JSON.stringify(log)}, JSON.stringify({ asked, lengths: own.map((batch) => batch.map(({ inputIds }) => inputIds.length)), held: held.flat().length }))
        console.log(JSON.stringify({ peakBytes: 5 }))
      })`,
    )
    const { code, stdout } = await bench('--peer', python, '--data', cwd, '--only', 'mrpc-epoch,lora,float32')
    expect(code).toBe(0)
    const [row] = (JSON.parse(stdout) as PeersResult).rows
    const logged = JSON.parse(await readFile(log, 'utf8')) as { asked: string[]; lengths: number[][]; held: number }
    expect(logged.asked).toEqual(['0', '1', '2', 'evaluate'])
    expect(logged.lengths.map(({ length }) => length)).toEqual([16, 16, 5])
    expect(logged.held).toBe(37)
    expect(row?.peer?.epochSeconds).toBe((3 * 1e6 + 5e6) / 1000)
    const ratio = (row?.peer?.epochSeconds ?? NaN) / (row?.ours.epochSeconds ?? NaN)
    expect(row?.ratio).toEqual([ratio, ratio, ratio])
    expect(ratio).toBeGreaterThan(100)
    const sorted = (lengths: readonly number[]): boolean => lengths.every((length, i) => i === 0 || length <= (lengths[i - 1] ?? 0))
    expect(logged.lengths.some((lengths) => !sorted(lengths))).toBe(true) // at random, where ours are sorted
  }, 120_000)

  it.each([
    [
      'lacks a library',
      "console.error('Traceback'); console.error(\"ModuleNotFoundError: No module named 'torch'\"); process.exit(1)",
      /No module named 'torch'$/,
    ],
    ['is killed', "process.kill(process.pid, 'SIGKILL')", /SIGKILL$/],
  ])(
    'says in one line that the peer %s',
    async (_, body, message) => {
      const { code, stderr } = await bench('--peer', await stub(`broken${body.length}`, body))
      expect([code, stderr.trim()]).toEqual([1, expect.stringMatching(message)])
      expect(stderr.trim()).toMatch(/^[^\n]*: expected steps of training, got [^\n]*$/)
      expect((await readdir(cwd)).filter((name) => name.startsWith('salora-bench'))).toEqual([])
    },
    60_000,
  )

  it('reports a missing Python in one line', async () => {
    const { code, stderr } = await bench('--peer', join(cwd, 'none-there'))
    expect([code, stderr.trim()]).toEqual([1, expect.stringMatching(/none-there: expected a program that can be started, got [^\n]*$/)])
  }, 60_000)
})
