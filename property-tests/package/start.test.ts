/** What starting costs: time, open files, libraries. */
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeTinyModel } from '../cli/tinyModel.js'
import { program, salora } from '../cli/spawnSalora.js'
import { toyFile } from '../cli/toyTask.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('start')
beforeAll(async () => {
  await writeTinyModel(join(folder, 'model'))
  await writeFile(join(folder, 'toy.tsv'), toyFile(40))
  await writeFile(
    join(folder, 'libraries.cjs'),
    `process.on('exit', () => require('node:fs').writeSync(2, process.report.getReport().sharedObjects.filter((f) => /onnxruntime_binding/.test(f)).length + ' bindings'))`,
  )
})

/** Exit code, standard output and standard error of a line of bash. */
const bash = (line: string): string =>
  execFileSync('bash', ['-c', `(${line}) 2>&1; echo "exit code $?"`], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, HF_HUB_OFFLINE: '1' },
  })
const command = `'${process.execPath}' '${program}'`

describe('salora --help', () => {
  // processor time, which a busy machine does not stretch as it does time on the clock; the best of five
  it('takes less than 300 ms', () => {
    const seconds = Array.from({ length: 5 }, () => {
      const [, user, system] = /(\d+\.\d+) (\d+\.\d+)/.exec(bash(`TIMEFORMAT='%U %S'; time ${command} --help > help.txt`)) ?? []
      return Number(user) + Number(system)
    })
    expect(Math.min(...seconds)).toBeLessThan(0.3)
  })
})

describe('ONNX Runtime', () => {
  it.each([
    [['--help'], 0],
    [['train', '--help'], 0],
    [['train', '--rank', '0', '--model', 'model', '--task', 'toy.tsv'], 0],
    [['report', 'absent', '--output', 'report.html'], 0],
    [['doctor', '--json'], 1],
  ])('is loaded when it is needed: salora %j loads %d', async (args, bindings) => {
    const { stderr } = await salora(args, { cwd: folder, nodeArguments: ['--require', join(folder, 'libraries.cjs')] })
    expect(stderr).toMatch(new RegExp(`${bindings} bindings$`))
  })
})

describe.skipIf(process.platform === 'win32')('a limit on open files', () => {
  it('a limit of 128 open files suffices to help, train, evaluate, report and predict', () => {
    const limited = (line: string): string => bash(`ulimit -n 128; ${command} ${line}`)
    expect(limited('--help')).toMatch(/^Fine-tune [\s\S]*exit code 0\n$/)
    expect(limited('doctor --quiet')).toMatch(/^cpu {7}works[\s\S]*exit code 0\n$/m)
    const train =
      'train --model model --task toy.tsv --method lora --device cpu --max-steps 2 --batch-size 4 --max-length 16 --output run --quiet'
    expect(limited(train)).toMatch(/exit code 0\n$/)
    expect(limited('evaluate --run run --quiet')).toMatch(/accuracy [\s\S]*exit code 0\n$/)
    expect(limited('report run --output run.html')).toMatch(/^report {6}run\.html: 1 run, [\s\S]*exit code 0\n$/)
    expect(limited('predict --run run --input toy.tsv')).toMatch(/"label"[\s\S]*exit code 0\n$/)
  })

  it.each([20, 24, 30])('a limit of %d open files is too low, and the error is one line', (limit) => {
    const line = /^salora: expected its own files( and libraries)?, got .*\bulimit -n\)\nexit code 1\n$/
    for (const words of ['train --help', 'doctor', 'no-such-command']) expect(bash(`ulimit -n ${limit}; ${command} ${words}`)).toMatch(line)
  })
})
