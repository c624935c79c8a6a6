/** Runs stages one after the other, each in a process of its own. A stage that fails, crashes or takes too long is an outcome like any other. */
import { fork } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Outcome, Stage, TrialOptions } from './stage.js'
import type { StageMessage } from './stageProcess.js'

export type StageRunner = {
  /** the program of a stage's process */
  readonly program: string
  /** milliseconds that a stage may take */
  readonly limit: number
  /** the folder that holds a folder of each stage */
  readonly folder: string
}

/** Yields the outcome of each stage as it ends. */
export async function* runStages(
  stages: ReadonlyArray<Pick<Stage, 'name' | 'title'>>,
  options: TrialOptions,
  runner: StageRunner,
): AsyncGenerator<Outcome, void> {
  for (const { name, title } of stages) {
    const folder = join(runner.folder, name)
    await mkdir(folder, { recursive: true })
    const began = performance.now()
    const message = await messageOf(name, options, folder, runner)
    yield { stage: name, title, seconds: (performance.now() - began) / 1000, ...message }
  }
}

const messageOf = (name: string, options: TrialOptions, folder: string, { program, limit }: StageRunner): Promise<StageMessage> =>
  new Promise((resolve) => {
    const child = fork(program, [name, JSON.stringify(options), folder], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    let [errors, received, isLate] = ['', null as StageMessage | null, false]
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-10_000)
    })
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, limit)
    child.on('message', (message) => {
      received = message as StageMessage
    })
    child.on('error', ({ message }) => {
      received ??= { failed: message }
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const lastLine = errors.trim().split('\n').at(-1) ?? ''
      const ending = isLate ? `more than ${limit / 1000} s` : `${signal ?? `exit code ${code}`}${lastLine === '' ? '' : `: ${lastLine}`}`
      resolve(received ?? { failed: `${name}: expected a process that ends by itself, got ${ending}` })
    })
  })
